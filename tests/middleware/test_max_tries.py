"""Retries: which failures are followed by another run, and after what pause."""

import asyncio
import math
from typing import Any

import pytest

from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware import MaxTries
from ltq.options import SendConfig, seconds
from ltq.task import Task
from ltq.worker import Worker


def make_task(**options: Any) -> Task[..., Any]:
    worker = Worker("shop", broker_url="memory://max-tries")

    @worker.task(**options)
    async def pay() -> None: ...

    return pay


class Panic(BaseException):
    """What a library with native code raises."""


class MuteError(Exception):
    def __str__(self) -> str:
        raise Panic("mute")


def repr_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, BaseException) else repr(value)


async def fail(
    error: BaseException,
    task: Task[..., Any],
    *,
    tries: int = 0,
    options: SendConfig | None = None,
    middleware: MaxTries | None = None,
) -> None:
    """A run, after `tries` failed ones, that raises `error`."""
    message: Message[Any] = Message((), {}, task.name, tries=tries, options=options or SendConfig())
    async with (middleware or MaxTries())(message, task):
        raise error


class TestFailure:
    @pytest.mark.parametrize("tries", [0, 1])
    async def test_it_is_retried_while_tries_are_left(self, tries: int) -> None:
        error = ValueError("no such card")
        with pytest.raises(RetryError, match="no such card") as caught:
            await fail(error, make_task(max_tries=3), tries=tries)
        assert caught.value.__cause__ is error

    @pytest.mark.parametrize("tries", [2, 3, 10])
    async def test_the_last_one_stays_as_it_is(self, tries: int) -> None:
        error = ValueError("no such card")
        with pytest.raises(ValueError, match="no such card") as caught:
            await fail(error, make_task(max_tries=3), tries=tries)
        assert caught.value is error

    async def test_without_max_tries_it_is_final_at_once(self) -> None:
        with pytest.raises(ValueError, match="no such card"):
            await fail(ValueError("no such card"), make_task(backoff=1))

    async def test_one_try_is_one_run(self) -> None:
        with pytest.raises(ValueError, match="no such card"):
            await fail(ValueError("no such card"), make_task(max_tries=1))

    @pytest.mark.parametrize("declared", [{}, {"max_tries": 1}, {"max_tries": 9}])
    async def test_the_sender_may_say_how_often(self, declared: dict[str, Any]) -> None:
        task, options = make_task(**declared), SendConfig(max_tries=2)
        with pytest.raises(RetryError):
            await fail(ValueError(), task, options=options)
        with pytest.raises(ValueError, match=r"^$"):
            await fail(ValueError(), task, tries=1, options=options)

    async def test_a_run_that_returns_is_left_alone(self) -> None:
        message: Message[Any] = Message((), {}, "shop:pay")
        async with MaxTries()(message, make_task(max_tries=3)):
            pass
        assert message.ctx == {}


class TestPause:
    async def test_it_is_what_the_function_says_for_the_failed_tries(self) -> None:
        task = make_task(max_tries=9, backoff=lambda failed: 10.0 * failed)
        delays = []
        for tries in (0, 1, 5):
            with pytest.raises(RetryError) as caught:
                await fail(ValueError(), task, tries=tries)
            delays.append(caught.value.delay)
        assert delays == [10.0, 20.0, 60.0]

    async def test_it_is_within_the_bounds_of_the_base(self) -> None:
        task = make_task(max_tries=9, backoff=0.5)
        for _ in range(50):
            with pytest.raises(RetryError) as caught:
                await fail(ValueError(), task, tries=2)
            assert 0 <= seconds("delay", caught.value.delay, zero=True) <= 2.0

    @pytest.mark.parametrize(
        "nonsense",
        [math.nan, -1.0, None, "soon", 1e300, math.inf, [1.0], MuteError(), IndexError("list")],
        ids=repr_of,
    )
    async def test_a_function_that_fails_costs_nothing_of_the_tasks_error(
        self, nonsense: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        answers = [1.0]  # the first one is asked for where it is declared

        def backoff(failed: int) -> Any:
            answer = answers.pop() if answers else nonsense
            if isinstance(answer, Exception):
                raise answer
            return answer

        task, middleware = make_task(max_tries=9, backoff=backoff), MaxTries()
        for tries in (0, 1, 2):
            error = ValueError("no such card")
            with pytest.raises(RetryError, match="no such card") as caught:
                await fail(error, task, tries=tries, middleware=middleware)
            assert caught.value.__cause__ is error
            assert 0 <= seconds("delay", caught.value.delay, zero=True) <= 2.0**tries
        (record,) = caplog.records  # once, not for each
        assert record.getMessage().startswith("shop:pay ")
        assert "its backoff failed: " in record.getMessage()

    @pytest.mark.parametrize("broken", [MuteError(), IndexError("list"), Panic()], ids=repr_of)
    async def test_so_does_a_predicate(
        self, broken: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        def is_worth(error: Exception) -> bool:
            raise broken

        error = ValueError("no such card")
        with pytest.raises(RetryError, match="no such card") as caught:
            await fail(error, make_task(max_tries=3, retry_on=is_worth))
        assert caught.value.__cause__ is error
        assert "its retry_on failed: " in caplog.text


class TestRetryOn:
    @pytest.mark.parametrize(
        "retry_on",
        [OSError, (KeyError, OSError), lambda error: isinstance(error, OSError)],
        ids=["type", "types", "predicate"],
    )
    async def test_only_what_is_worth_it_is_retried(self, retry_on: Any) -> None:
        task = make_task(max_tries=3, retry_on=retry_on)
        with pytest.raises(RetryError):
            await fail(OSError(), task)
        with pytest.raises(RetryError):
            await fail(ConnectionError(), task)
        with pytest.raises(ValueError, match="wrong"):
            await fail(ValueError("wrong"), task)

    async def test_without_max_tries_nothing_is(self) -> None:
        with pytest.raises(OSError, match="away"):
            await fail(OSError("away"), make_task(retry_on=OSError))

    async def test_a_task_that_asks_for_it_is_retried_whatever_is_worth_it(self) -> None:
        with pytest.raises(RetryError):
            await fail(RetryError(5), make_task(max_tries=3, retry_on=OSError))

    async def test_the_predicate_is_not_asked_about_the_last_try(self) -> None:
        asked: list[Exception] = []

        def is_worth(error: Exception) -> bool:
            asked.append(error)
            return True

        task = make_task(max_tries=2, retry_on=is_worth)
        with pytest.raises(ValueError, match=r"^$"):
            await fail(ValueError(), task, tries=1)
        assert asked == []


class TestSignals:
    async def test_a_retry_keeps_its_own_delay(self) -> None:
        error = RetryError(delay=7.5, message="busy")
        with pytest.raises(RetryError) as caught:
            await fail(error, make_task(max_tries=3, backoff=100))
        assert caught.value is error

    async def test_a_retry_uses_up_a_try(self) -> None:
        error = RetryError(delay=7.5, message="busy")
        with pytest.raises(ExhaustedError) as caught:
            await fail(error, make_task(max_tries=3), tries=2)
        assert caught.value.__cause__ is error

    async def test_the_last_retry_fails_with_the_error_it_was_raised_from(self) -> None:
        cause = OSError("away")
        error = RetryError(1)
        error.__cause__ = cause
        with pytest.raises(ExhaustedError) as caught:
            await fail(error, make_task(max_tries=1))
        assert caught.value.__cause__ is cause

    async def test_without_max_tries_it_may_repeat_without_end(self) -> None:
        with pytest.raises(RetryError):
            await fail(RetryError(), make_task(backoff=1), tries=10_000)

    @pytest.mark.parametrize("error", [RejectError("a duplicate"), ExhaustedError()], ids=repr)
    async def test_an_end_is_not_retried(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught:
            await fail(error, make_task(max_tries=3))
        assert caught.value is error

    async def test_a_cancelled_run_uses_up_no_try(self) -> None:
        async def cancelled() -> None:
            running = asyncio.current_task()
            assert running is not None
            running.cancel()
            await fail(asyncio.CancelledError(), make_task(max_tries=3))

        run = asyncio.create_task(cancelled())
        await asyncio.wait([run])
        assert run.cancelled()

    @pytest.mark.parametrize(
        "error",
        [
            Panic("index out of bounds"),
            KeyboardInterrupt(),
            SystemExit(1),
            GeneratorExit(),
            asyncio.CancelledError("by itself"),
            BaseExceptionGroup("several", [Panic(), ValueError()]),
            MuteError(),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_whatever_else_is_raised_is_retried(self, error: BaseException) -> None:
        with pytest.raises(RetryError) as caught:
            await fail(error, make_task(max_tries=3))
        assert caught.value.__cause__ is error
        with pytest.raises(type(error)):
            await fail(error, make_task(max_tries=3), tries=2)

    @pytest.mark.parametrize("retry_on", [Panic, (OSError, Panic), lambda e: isinstance(e, Panic)])
    async def test_retry_on_chooses_among_them(self, retry_on: Any) -> None:
        task = make_task(max_tries=3, retry_on=retry_on)
        with pytest.raises(RetryError):
            await fail(Panic(), task)
        with pytest.raises(KeyboardInterrupt):
            await fail(KeyboardInterrupt(), task)


def test_it_implements_the_options_of_retries() -> None:
    assert MaxTries.options == {"max_tries", "backoff", "retry_on"}
