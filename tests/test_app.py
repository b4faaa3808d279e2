"""Several workers in one process."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import App, Message, Middleware, Task, Worker
from ltq._names import new_id


class Note(Middleware):
    """Notes what it is entered for."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        self.notes.append(self.name)
        yield


@pytest.fixture
def url() -> str:
    return f"memory://{new_id()}"


class TestRun:
    async def test_each_worker_has_a_thread_of_its_own(self, url: str) -> None:
        app, handles = App(), []
        for name in ("emails", "reports"):
            worker = Worker(name, broker_url=url)
            app.register_worker(worker)

            @worker.task
            async def where() -> int:
                return threading.get_ident()

            handles.append(await where.send())
        await app.run(burst=True)
        threads = await ltq.gather(*handles)
        assert len({*threads, threading.get_ident()}) == 3

    async def test_one_may_block_without_the_other(self, url: str) -> None:
        app = App()
        slow, quick = Worker("slow", broker_url=url), Worker("quick", broker_url=url)
        go_on = threading.Event()

        @slow.task
        async def block() -> bool:
            return go_on.wait(10)

        @quick.task
        async def release() -> None:
            go_on.set()

        app.register_worker(slow)
        app.register_worker(quick)
        blocked = await block.send()
        await release.send()
        await app.run(burst=True)
        assert await blocked.result(timeout=1) is True

    async def test_stop_ends_them_all(self, url: str) -> None:
        app, started = App(), threading.Barrier(3)
        for name in ("a", "b"):
            worker = Worker(name, broker_url=url)
            app.register_worker(worker)

            @worker.task
            def begin() -> None:
                started.wait(10)

            await begin.send()
        running = asyncio.create_task(app.run())
        await asyncio.to_thread(started.wait, 10)
        app.stop()
        await asyncio.wait_for(running, 10)

    async def test_a_stop_while_it_starts_is_not_forgotten(self, url: str) -> None:
        entered = threading.Event()

        @asynccontextmanager
        async def lifespan(worker: Worker) -> AsyncIterator[None]:
            entered.set()
            await asyncio.to_thread(stopped.wait, 10)
            yield

        stopped = threading.Event()
        app, worker = App(), Worker("a", broker_url=url, lifespan=lifespan)
        app.register_worker(worker)

        @worker.task
        async def never() -> None: ...

        running = asyncio.create_task(app.run())
        await asyncio.to_thread(entered.wait, 10)
        app.stop()
        stopped.set()
        await asyncio.wait_for(running, 10)

    async def test_a_worker_that_cannot_run_stops_the_others(self, url: str) -> None:
        app, good, bad = App(), Worker("good", broker_url=url), Worker("bad", broker_url=url)

        @good.task
        async def fine() -> None: ...

        app.register_worker(good)
        app.register_worker(bad)
        with pytest.raises(ltq.ConfigurationError, match="'bad' has no tasks"):
            await asyncio.wait_for(app.run(), 10)

    async def test_without_workers_it_says_so(self) -> None:
        with pytest.raises(ltq.ConfigurationError, match="without workers"):
            await App().run()


class TestMiddleware:
    async def test_the_apps_goes_first(self, url: str) -> None:
        notes: list[str] = []
        app = App(middlewares=[Note("app", notes)])
        worker = Worker("a", broker_url=url, middlewares=[Note("own", notes)])
        app.register_worker(worker)
        app.register_middleware(Note("later", notes))
        app.register_middleware(Note("first", notes), pos=0)
        worker.register_middleware(Note("last", notes))

        @worker.task
        async def work() -> None: ...

        await work.send()
        await app.run(burst=True)
        assert notes == ["first", "app", "later", "own", "last"]


def test_a_name_is_registered_once(url: str) -> None:
    app = App()
    app.register_worker(Worker("a", broker_url=url))
    with pytest.raises(ltq.ConfigurationError, match="'a' is registered already"):
        app.register_worker(Worker("a", broker_url=url))
