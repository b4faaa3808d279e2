"""Whatever ends a run counts, and is told, like every failure."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.events import Event, EventKind
from ltq.middleware import Ending, MaxAge, MaxTries, Observer, ending_of
from ltq.state import TaskState
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import run_until_final

TRIES: dict[str, Any] = {"max_tries": 3, "backoff": 0.001}


class Raises(ltq.Middleware):
    """Raises before or after the run."""

    def __init__(self, error: Callable[[], BaseException], *, after: bool = False) -> None:
        self.error = error
        self.after = after
        self.runs = 0

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        self.runs += 1
        if not self.after:
            raise self.error()
        with suppress(BaseException):
            yield
        raise self.error()


class Endings(Observer):
    """How runs ended, as a reporter of errors sees it."""

    def __init__(self) -> None:
        self.seen: list[Ending] = []

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.seen.append(ending_of(error))


def again() -> ltq.RetryError:
    error = ltq.RetryError(delay=0.001, message="not now")
    error.__cause__ = ConnectionError("away")
    return error


class TestTriesAnywhere:
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("pos", [0, -1])
    async def test_a_wish_for_another_run_counts_wherever_it_comes_from(
        self, worker: Worker, after: bool, pos: int
    ) -> None:
        wish, endings = Raises(again, after=after), Endings()
        worker.register_middleware(wish, pos=pos)
        worker.register_middleware(endings)

        @worker.task(**TRIES)
        async def work() -> None: ...

        (state,) = await run_until_final(worker, await work.send())
        assert (state.status, state.error) == (Status.FAILED, "ConnectionError: away")
        assert wish.runs == state.dequeue_count == 3
        assert endings.seen == [Ending.RETRIED, Ending.RETRIED, Ending.FAILED]
        assert (await worker.broker.dead_letter(work.queue, state.id)).tries == 3

    async def test_with_a_stack_of_ones_own(self, broker: Broker) -> None:
        class OwnTries(Raises):
            options = frozenset({"max_tries"})

        own = OwnTries(again)
        worker = Worker("shop", broker=broker, middlewares=[own])

        @worker.task
        async def work() -> None: ...

        (state,) = await run_until_final(worker, await work.with_options(max_tries=2).send())
        assert (state.status, own.runs) == (Status.FAILED, 2)

    async def test_without_max_tries_it_may_repeat(self, worker: Worker) -> None:
        def wish() -> BaseException:
            return again() if raises.runs < 10 else ltq.RejectError("enough")

        raises = Raises(wish)
        worker.register_middleware(raises, pos=0)

        @worker.task
        async def work() -> None: ...

        (state,) = await run_until_final(worker, await work.send())
        assert (state.error, raises.runs) == ("enough", 10)


class TestToldLikeEveryFailure:
    @pytest.mark.parametrize("is_async", [True, False])
    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
    async def test_what_is_no_exception_is_tried_again_and_told(
        self,
        worker: Worker,
        error: BaseException,
        is_async: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        endings, events = Endings(), list[Event]()
        worker.register_middleware(endings)
        worker.subscribe(events.append)

        if is_async:

            @worker.task(**TRIES)
            async def work() -> None:
                raise error

        else:

            @worker.task(**TRIES)
            def work() -> None:
                raise error

        caplog.set_level(logging.ERROR, "ltq.worker")
        (state,) = await run_until_final(worker, await work.send())
        assert (state.status, state.dequeue_count) == (Status.FAILED, 3)
        assert state.error_type == type(error).__name__
        assert endings.seen == [Ending.RETRIED, Ending.RETRIED, Ending.FAILED]
        (record,) = caplog.records
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        ends = [event.kind for event in events if event.kind is not EventKind.STARTED]
        assert ends[1:] == [EventKind.RETRIED, EventKind.RETRIED, EventKind.FAILED]

    async def test_so_is_a_middleware_that_cancels_its_own_run(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Cancels(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                yield
                running = asyncio.current_task()
                assert running is not None
                running.cancel()
                await asyncio.sleep(PATIENCE)  # the task's own time

        endings = Endings()
        worker.register_middleware(Cancels())
        worker.register_middleware(endings)

        @worker.task
        async def work() -> None: ...

        caplog.set_level(logging.ERROR, "ltq.worker")
        (state,) = await run_until_final(worker, await work.send())
        assert state.error == "RuntimeError: cancelled by something other than its worker"
        assert endings.seen == [Ending.FAILED]
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    async def test_what_an_exit_in_another_thread_of_the_task_ends_is_its_own(
        self, worker: Worker
    ) -> None:
        @worker.task(**TRIES)
        async def work() -> None:
            await asyncio.to_thread(sys.exit, 4)

        (state,) = await run_until_final(worker, await work.send())
        assert (state.error, state.dequeue_count) == ("SystemExit: 4", 3)


class TestTooOld:
    @staticmethod
    def make(broker: Broker) -> Worker:
        return Worker("shop", broker=broker, middlewares=[MaxTries(), MaxAge()], shutdown_timeout=0)

    def check(self, state: TaskState[Any]) -> None:
        assert state.status is Status.REJECTED
        assert state.error is not None
        assert state.error.startswith("too old: sent ")
        assert "delays and retries count" in state.error
        assert "the last error was ValueError: the real one" in state.error
        assert "raise ValueError" in (state.traceback or "")

    async def test_the_last_error_is_kept(self, broker: Broker) -> None:
        worker = self.make(broker)

        @worker.task(max_tries=99, max_age=0.5, backoff=lambda failed: 0.1)
        async def work() -> None:
            raise ValueError("the real one")

        (state,) = await run_until_final(worker, await work.send())
        self.check(state)
        letter = await broker.dead_letter(work.queue, state.id)
        assert (letter.error, letter.traceback) == (state.error, state.traceback)

    async def test_also_if_a_worker_stopped_in_between(self, broker: Broker) -> None:
        worker = self.make(broker)
        too_old = asyncio.Event()

        @worker.task(max_tries=99, max_age=0.5, backoff=0.0001)
        async def work() -> None:
            if ltq.current().attempt == 1:
                raise ValueError("the real one")
            await asyncio.sleep(0.5)  # the task's own time, until it is too old
            too_old.set()
            await asyncio.sleep(PATIENCE)  # the task's own time

        handle = await work.send()
        async with worker:
            await eventually(too_old.is_set)
        state = await handle.state()
        assert (state.status, state.error) == (Status.PENDING, "ValueError: the real one")
        (state,) = await run_until_final(worker, handle)
        self.check(state)

    async def test_without_an_earlier_run_there_is_none(self, broker: Broker) -> None:
        worker = self.make(broker)

        @worker.task(max_age=0.001)
        async def work() -> None: ...

        handle = await work.with_options(delay=0.02).send()
        (state,) = await run_until_final(worker, handle)
        assert (state.status, state.traceback) == (Status.REJECTED, None)
        assert (state.error or "").endswith("max_age is 0.001 s (delays and retries count)")


class TestSwallowedTimeout:
    async def test_a_coroutine_that_goes_on_has_failed_all_the_same(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        endings = Endings()
        worker.register_middleware(endings)

        @worker.task(timeout=0.02, max_tries=2, backoff=0.001)
        async def work() -> str:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(PATIENCE)  # the task's own time
            await asyncio.sleep(0.01)  # the task's own time
            return "late"

        caplog.set_level(logging.ERROR, "ltq.worker")
        (state,) = await run_until_final(worker, await work.send())
        assert (state.status, state.result, state.dequeue_count) == (Status.FAILED, None, 2)
        assert state.error == (
            "TimeoutError: did not end within its timeout of 0.02 s, and went on although it was "
            "cancelled"
        )
        assert endings.seen == [Ending.RETRIED, Ending.FAILED]
        assert len(caplog.records) == 1

    @pytest.mark.parametrize(("error", "status"), [(ltq.RejectError, Status.REJECTED)])
    async def test_a_signal_that_it_raises_then_counts(
        self, worker: Worker, error: type[Exception], status: Status
    ) -> None:
        @worker.task(timeout=0.02)
        async def work() -> None:
            try:
                await asyncio.sleep(PATIENCE)  # the task's own time
            except asyncio.CancelledError:
                raise error("gave up") from None

        (state,) = await run_until_final(worker, await work.send())
        assert (state.status, state.error) == (status, "gave up")


class Threads:
    """The threads that the system still starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
        self.left = sys.maxsize
        self.refused = 0
        start = threading.Thread.start

        def limited(thread: threading.Thread) -> None:
            if thread.name.startswith("ltq-shop"):
                if self.left <= 0:
                    self.refused += 1
                    raise error("can't start new thread")
                self.left -= 1
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)


class TestNoThread:
    @pytest.mark.parametrize("error", [RuntimeError, MemoryError])
    @pytest.mark.parametrize("left", [0, 1])
    async def test_a_task_without_a_thread_is_put_back_and_runs_once(
        self,
        worker: Worker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: type[BaseException],
        left: int,
    ) -> None:
        monkeypatch.setattr("ltq._worker.executor._NO_THREAD_PAUSE", 0.01)
        monkeypatch.setattr("ltq._worker.threads._SHORTAGE", 0.1)
        threads, endings, runs = Threads(monkeypatch, error), Endings(), list[int]()
        worker.register_middleware(endings)

        @worker.task(max_tries=1)
        def work(number: int) -> int:
            runs.append(number)
            return number

        threads.left = left
        caplog.set_level(logging.WARNING, "ltq.worker")
        handles = [await work.send(number) for number in range(6)]
        async with worker:
            await eventually(lambda: threads.refused)
            threads.left = sys.maxsize
            states = [await handle.wait(PATIENCE) for handle in handles]
        assert {state.status for state in states} == {Status.COMPLETED}
        assert [state.result for state in states] == list(range(6))
        assert sorted(runs) == list(range(6)), "each once"
        assert Ending.FAILED not in endings.seen
        assert Ending.CANCELLED in endings.seen
        assert any("no thread can be started" in one.getMessage() for one in caplog.records)

    async def test_fewer_are_claimed_for_a_while(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.executor._NO_THREAD_PAUSE", 0.01)
        shortage = 0.3
        monkeypatch.setattr("ltq._worker.threads._SHORTAGE", shortage)
        threads = Threads(monkeypatch, RuntimeError)
        lock, most, now = threading.Lock(), 0, 0
        gate = threading.Event()

        @worker.task
        def work() -> None:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            gate.wait(PATIENCE)
            with lock:
                now -= 1

        async def few_are_held() -> bool:
            states = [await handle.state() for handle in handles]
            return sum(state.status is Status.WORKING for state in states) <= 3

        threads.left = 2
        handles = [await work.send() for _ in range(8)]
        async with worker:
            await eventually(lambda: threads.refused >= 1 and now == 2)
            await eventually(few_are_held)
            refused, began = threads.refused, time.monotonic()
            # In this time, without the limit, each would be tried some ten times.
            await eventually(lambda: time.monotonic() - began >= 0.2)
            shortages = 1 + (time.monotonic() - began) / shortage
            assert threads.refused - refused <= 6 * shortages
            threads.left = sys.maxsize
            await eventually(lambda: now == 8)
            gate.set()
            for handle in handles:
                assert (await handle.wait(PATIENCE)).status is Status.COMPLETED
