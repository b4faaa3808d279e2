"""What a worker's `lifespan` gives to its tasks."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import ltq
from ltq import Message, Task, Worker
from ltq.broker import Broker
from ltq.message import new_id
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


@dataclass
class Database:
    """Something that is opened and closed in the event loop where it is used."""

    thread: int = field(default_factory=threading.get_ident)
    closed: bool = False
    used: list[str] = field(default_factory=list)

    def use(self, who: str) -> int:
        assert not self.closed
        self.used.append(who)
        return self.thread


OPENED: list[Database] = []


class OpensDatabases:
    """Tests that begin before any database has been opened."""

    @pytest.fixture(autouse=True)
    def opened(self) -> list[Database]:
        OPENED.clear()
        return OPENED


@asynccontextmanager
async def open_database(worker: Worker) -> AsyncIterator[Database]:
    database = Database()
    OPENED.append(database)
    try:
        yield database
    finally:
        database.closed = True


def break_down(*arguments: str) -> None:
    raise OSError(*arguments)


class TestResource(OpensDatabases):
    async def test_coroutines_threads_and_middleware_have_it(self, broker: Broker) -> None:
        class Use(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: Message[Any], task: Task[..., Any]
            ) -> AsyncIterator[None]:
                worker.resource.use("middleware")
                yield

        worker = Worker("shop", broker=broker, middlewares=[Use()], lifespan=open_database)

        @worker.task
        async def read() -> None:
            worker.resource.use("coroutine")

        @worker.task
        def read_in_a_thread() -> None:
            worker.resource.use("thread")

        await read.send()
        await read_in_a_thread.send()
        await worker.run(burst=True)
        (database,) = OPENED
        assert sorted(database.used) == ["coroutine", "middleware", "middleware", "thread"]

    async def test_without_a_lifespan_it_is_none(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker)

        @worker.task
        async def read() -> bool:
            return worker.resource is None

        handle = await read.send()
        await worker.run(burst=True)
        assert await handle.result(timeout=1) is True

    async def test_outside_it_is_an_error_that_says_so(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, lifespan=open_database)

        @worker.task
        async def read() -> int:
            return worker.resource.use("task")

        def fails() -> None:
            with pytest.raises(ltq.ConfigurationError, match="'shop' has no resource here"):
                worker.resource.use("outside")

        fails()
        async with worker:
            fails()
            await (await read.send()).result(timeout=PATIENCE)
        await read.send()
        await worker.run(burst=True)
        fails()

    async def test_another_workers_is_not_there(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, lifespan=open_database)
        other = Worker("bank", broker=broker, lifespan=open_database)

        @worker.task
        async def read() -> None:
            other.resource.use("task")

        handle = await read.send()
        await worker.run(burst=True)
        state = await handle.state()
        assert "ConfigurationError: worker 'bank'" in (state.error or "")

    async def test_each_run_has_its_own(self) -> None:
        worker = Worker("shop", f"memory://{new_id()}", concurrency=1, lifespan=open_database)
        together = threading.Barrier(2)

        @worker.task
        def read() -> int:
            together.wait(PATIENCE)
            return worker.resource.use("task")

        handles = [await read.send() for _ in range(2)]

        async def run() -> None:
            await worker.run(burst=True)

        await asyncio.gather(*(asyncio.to_thread(asyncio.run, run()) for _ in range(2)))
        results = await ltq.gather(*handles)
        assert len(set(results)) == 2
        assert [(one.closed, one.used) for one in OPENED] == [(True, ["task"])] * 2


class TestLifespanEnd(OpensDatabases):
    async def test_it_is_left_after_the_last_task_has_ended(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, lifespan=open_database)
        go_on, begun = asyncio.Event(), asyncio.Event()

        @worker.task
        async def slow() -> bool:
            begun.set()
            await go_on.wait()
            return worker.resource.closed

        handle = await slow.send()
        running = asyncio.create_task(worker.run())
        await begun.wait()
        worker.stop()
        go_on.set()
        await asyncio.wait_for(running, PATIENCE)
        assert await handle.result(timeout=1) is False
        assert OPENED[0].closed

    async def test_after_those_that_are_requeued_as_well(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, lifespan=open_database)
        closed: list[bool] = []
        begun = asyncio.Event()

        @worker.task
        async def hang() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                closed.append(worker.resource.closed)

        await hang.send()
        running = asyncio.create_task(worker.run())
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (closed, OPENED[0].closed) == ([False], True)

    async def test_also_when_the_run_itself_fails(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = Worker("shop", broker=broker, lifespan=open_database)

        @worker.task
        async def work() -> None: ...

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(broker, "consumer", fail)
        with pytest.raises(RuntimeError, match="a bug"):
            await worker.run()
        assert OPENED[0].closed

    async def test_an_error_at_its_end_names_the_worker(self, broker: Broker) -> None:
        @asynccontextmanager
        async def forgetful(worker: Worker) -> AsyncIterator[None]:
            yield
            raise OSError("disk full")

        worker = Worker("shop", broker=broker, lifespan=forgetful)

        @worker.task
        async def work() -> None: ...

        handle = await work.send()
        with pytest.raises(ltq.LifespanError, match=r"'shop' .*forgetful raised OSError: disk f"):
            await worker.run(burst=True)
        assert (await handle.state()).status is ltq.Status.COMPLETED

    async def test_what_is_no_exception_is_such_an_error_as_well(self, broker: Broker) -> None:
        class Panic(BaseException):
            pass

        @asynccontextmanager
        async def panics(worker: Worker) -> AsyncIterator[None]:
            if is_early:
                raise Panic("no driver")
            yield
            raise Panic("no driver")

        worker = Worker("shop", broker=broker, lifespan=panics)

        @worker.task
        async def work() -> None: ...

        is_early = True
        for _ in range(2):
            with pytest.raises(ltq.LifespanError, match="Panic: no driver"):
                await worker.run(burst=True)
            is_early = False


class TestLifespanStart(OpensDatabases):
    async def test_a_failure_says_what_failed_where_and_of_which_worker(
        self, broker: Broker
    ) -> None:
        @asynccontextmanager
        async def broken(worker: Worker) -> AsyncIterator[None]:
            break_down("no such host")
            yield

        worker = Worker("shop", broker=broker, lifespan=broken)

        @worker.task
        async def work() -> None: ...

        for run in (worker.run, worker.__aenter__):
            with pytest.raises(ltq.LifespanError) as caught:
                await run()
            text = str(caught.value)
            assert text.startswith("worker 'shop' cannot start: its lifespan TestLifespanStart.")
            assert "broken raised OSError: no such host (" in text
            assert "lifespan.py:" in text
            assert isinstance(caught.value.__cause__, OSError)

    async def test_nothing_was_claimed(self, broker: Broker) -> None:
        @asynccontextmanager
        async def broken(worker: Worker) -> AsyncIterator[None]:
            break_down()
            yield

        worker = Worker("shop", broker=broker, lifespan=broken)

        @worker.task
        async def work() -> None: ...

        handle = await work.send()
        with pytest.raises(ltq.LifespanError, match=r"raised OSError \("):
            await worker.run()
        assert (await handle.state()).dequeue_count == 0

    async def test_a_forgotten_decorator_is_told(self, broker: Broker) -> None:
        async def bare(worker: Worker) -> AsyncIterator[None]:
            yield

        lifespan: Any = bare
        worker = Worker("shop", broker=broker, lifespan=lifespan)

        @worker.task
        async def work() -> None: ...

        with pytest.raises(ltq.LifespanError, match="is @asynccontextmanager missing"):
            await worker.run()

    async def test_a_cancelled_start_is_no_failure_of_it(self, broker: Broker) -> None:
        begun = asyncio.Event()

        @asynccontextmanager
        async def slow(worker: Worker) -> AsyncIterator[None]:
            begun.set()
            await asyncio.Event().wait()
            yield

        worker = Worker("shop", broker=broker, lifespan=slow)

        @worker.task
        async def work() -> None: ...

        running = asyncio.create_task(worker.run())
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: not worker.health())
