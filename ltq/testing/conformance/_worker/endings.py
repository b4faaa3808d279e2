"""Whatever a run raises, and wherever: it ends as a failure, and its slot is free again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class Panic(BaseException):
    """What a library with native code raises."""


class MutePanic(Panic):
    """Its texts cannot be made either."""

    def __str__(self) -> str:
        raise Panic("no text")

    __repr__ = __str__


class MuteError(Exception):
    def __str__(self) -> str:
        raise Panic("no text")

    __repr__ = __str__


class LyingError(Exception):
    """Whoever asks for its class gets the error itself."""

    @property  # type: ignore[misc]  # on purpose
    def __class__(self) -> type:
        raise self


class FalseError(Exception):
    """It says that it is a cancellation, and that it is false."""

    @property  # type: ignore[misc]  # on purpose
    def __class__(self) -> type:
        return asyncio.CancelledError

    def __bool__(self) -> bool:
        return False


class BadText(str):
    """A text that nobody can use."""

    __slots__ = ()

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        raise Panic("no bytes")

    def __len__(self) -> int:
        raise Panic("no length")


class BadTextError(Exception):
    def __str__(self) -> str:
        return BadText("bad")


RAISED: dict[str, Callable[[], BaseException]] = {
    "Panic": lambda: Panic("index out of bounds"),
    "MutePanic": MutePanic,
    "MuteError": MuteError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(0),
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [Panic(), ValueError("no")]),
    "StopAsyncIteration": StopAsyncIteration,
}

HOSTILE: dict[str, Callable[[], BaseException]] = {
    "LyingError": LyingError,
    "FalseError": FalseError,
    "BadTextError": BadTextError,
}
"""Errors whose own code may not be trusted: asyncio itself cannot stand them all."""


class RaisesAll:
    """Its tests run once for each kind of error."""

    @pytest.fixture(params=RAISED.values(), ids=[*RAISED])
    def error(self, request: pytest.FixtureRequest) -> BaseException:
        make: Callable[[], BaseException] = request.param
        return make()

    @pytest.fixture
    def worker(self, broker: Broker) -> Worker:
        return Worker("shop", broker=broker, concurrency=1)


async def check(worker: Worker, bad: ltq.Handle[Any], status: Status = Status.FAILED) -> str:
    """Run a task that raises, on a worker with one slot, and another one after it.

    Returns the error of the first.
    """

    @worker.task
    async def fine() -> int:
        return 7

    after = await fine.send()
    async with worker:
        state = await bad.wait(timeout=PATIENCE)
        assert await after.result(timeout=PATIENCE) == 7
        # What the first task has sent may run a moment longer.
        await eventually(lambda: worker.health()[0].running == 0, description="the slot is free")
        assert not worker.health()[0].is_stopping
    assert state.status is status
    (stats,) = await worker.broker.stats([bad.queue])
    assert (stats.pending, stats.delayed, stats.working) == (0, 0, 0)
    return state.error or ""


class TestEveryRunEnds(RaisesAll):
    @pytest.fixture(params=[*RAISED.values(), *HOSTILE.values()], ids=[*RAISED, *HOSTILE])
    def error(self, request: pytest.FixtureRequest) -> BaseException:
        make: Callable[[], BaseException] = request.param
        return make()

    async def test_of_a_coroutine(self, worker: Worker, error: BaseException) -> None:
        @worker.task
        async def fail() -> None:
            raise error

        text = await check(worker, await fail.send())
        assert type(error).__name__ in text

    async def test_of_a_thread(self, worker: Worker, error: BaseException) -> None:
        @worker.task
        def fail() -> None:
            raise error

        text = await check(worker, await fail.send())
        assert type(error).__name__ in text

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    async def test_of_middleware(self, worker: Worker, error: BaseException, after: bool) -> None:
        class Fails(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                if task is work and not after:
                    raise error
                yield
                if task is work:
                    raise error

        worker.register_middleware(Fails())

        @worker.task
        async def work() -> None:
            return None

        await check(worker, await work.send())

    async def test_tries_are_heeded(self, worker: Worker, error: BaseException) -> None:
        attempts: list[int] = []

        @worker.task(max_tries=3, backoff=0.001)
        async def fail() -> None:
            attempts.append(ltq.current().attempt)
            raise error

        await check(worker, await fail.send())
        assert attempts == [1, 2, 3]

    async def test_what_a_retry_was_raised_from_may_be_any(
        self, worker: Worker, error: BaseException
    ) -> None:
        @worker.task(max_tries=2)
        async def fail() -> None:
            raise ltq.RetryError(delay=0.001) from error

        assert type(error).__name__ in await check(worker, await fail.send())

    async def test_which_ones_are_retried_is_heeded(self, worker: Worker) -> None:
        attempts: list[str] = []

        @worker.task(max_tries=2, backoff=0.001, retry_on=(OSError, Panic))
        async def fail(kind: str) -> None:
            attempts.append(kind)
            raise Panic if kind == "panic" else KeyboardInterrupt

        panic, interrupt = await fail.send("panic"), await fail.send("interrupt")
        await check(worker, panic)
        assert (await interrupt.state()).status is Status.FAILED
        assert sorted(attempts) == ["interrupt", "panic", "panic"]

    @pytest.mark.parametrize("option", ["retry_on", "backoff"])
    async def test_of_a_function_that_is_an_option(
        self, worker: Worker, error: BaseException, option: str
    ) -> None:
        is_declared = False

        def fail(_: object) -> float:
            if is_declared:  # a backoff is tried out before
                raise error
            return 1.0

        options: dict[str, Any] = {"backoff": 0.001, option: fail}

        @worker.task(max_tries=2, **options)
        async def work() -> None:
            raise ValueError

        is_declared = True
        assert await check(worker, await work.send()) == "ValueError"  # its own

    async def test_while_its_time_is_up(self, worker: Worker, error: BaseException) -> None:
        @worker.task(timeout=0.02)
        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise error

        await check(worker, await hang.send())

    async def test_while_it_is_cancelled(self, worker: Worker, error: BaseException) -> None:
        begun = asyncio.Event()

        @worker.task
        async def hang() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise error

        bad = await hang.send()

        async def cancel() -> None:
            await begun.wait()
            assert await bad.cancel()

        cancelling = asyncio.create_task(cancel())
        await check(worker, bad, Status.CANCELLED)
        await cancelling

    async def test_while_the_worker_stops(self, worker: Worker, error: BaseException) -> None:
        worker.shutdown_timeout = 0.0
        begun = asyncio.Event()

        @worker.task
        async def hang() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise error

        handle = await hang.send()
        async with worker:
            await asyncio.wait_for(begun.wait(), PATIENCE)
        is_cancellation = issubclass(type(error), asyncio.CancelledError)
        expected = Status.PENDING if is_cancellation else Status.FAILED
        assert (await handle.state()).status is expected

    async def test_of_a_listener_to_events(self, worker: Worker, error: BaseException) -> None:
        def listen(event: ltq.Event) -> None:
            raise error

        worker.subscribe(listen)

        @worker.task
        async def work() -> None:
            return None

        await check(worker, await work.send(), Status.COMPLETED)

    async def test_a_task_that_cancels_itself(self, worker: Worker) -> None:
        attempts: list[int] = []

        @worker.task(max_tries=2, backoff=0.001, timeout=PATIENCE)
        async def give_up() -> None:
            attempts.append(ltq.current().attempt)
            running = asyncio.current_task()
            assert running is not None
            running.cancel()
            await asyncio.Event().wait()

        assert "CancelledError" in await check(worker, await give_up.send())
        assert attempts == [1, 2]

    async def test_of_a_group_of_tasks(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            async def leaf() -> None:
                raise Panic("in a leaf")

            async with asyncio.TaskGroup() as group:
                group.create_task(leaf())

        assert "BaseExceptionGroup" in await check(worker, await fail.send())


class Spoiled:
    """A serializer that raises on the word "spoiled"."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def dumps(self, value: Any) -> bytes:
        data = msgspec.json.encode(value)
        if b"spoiled" in data:
            raise self.error
        return data

    def loads(self, data: bytes) -> Any:
        if b"rotten" in data:
            raise self.error
        return msgspec.json.decode(data)


class Plain:
    """Another version of it, which never raises."""

    name = "Spoiled"

    def dumps(self, value: Any) -> bytes:
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class TestSerializersThatRaise(RaisesAll):
    async def test_a_result(self, broker: Broker, error: BaseException) -> None:
        worker = Worker("shop", broker=broker, concurrency=1, serializer=Spoiled(error))

        @worker.task
        async def work() -> str:
            return "spoiled"

        await check(worker, await work.send())

    async def test_arguments(self, broker: Broker, error: BaseException) -> None:
        worker = Worker("shop", broker=broker, concurrency=1, serializer=Spoiled(error))

        @worker.task
        async def work(text: str) -> None: ...

        sender = Worker("shop", broker=broker, serializer=Plain())

        @sender.task(name="work")
        async def same(text: str) -> None: ...

        bad = await same.send("rotten")
        state = Status.FAILED
        if isinstance(error, Exception) and not isinstance(error, MuteError):
            state = Status.REJECTED
        await check(worker, work.handle(bad.id), state)

    async def test_a_hook_at_the_send(self, broker: Broker, error: BaseException) -> None:
        class Fails(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                yield

            def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
                if task is child:
                    raise error

        worker = Worker("shop", broker=broker, concurrency=1)
        worker.register_middleware(Fails())

        @worker.task
        async def child() -> None: ...

        @worker.task
        async def parent() -> None:
            await child.send()

        ordinary = isinstance(error, Exception)  # a hook that only observes prevents no send
        await check(worker, await parent.send(), Status.COMPLETED if ordinary else Status.FAILED)
