"""Several workers in one process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import App, Message, Middleware, Task, Worker
from ltq.names import new_id
from tests.eventually import eventually


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

    async def test_each_has_an_event_loop_of_its_own(self, url: str) -> None:
        app, handles = App(), []
        loops: list[asyncio.AbstractEventLoop] = [asyncio.get_running_loop()]
        for name in ("emails", "reports"):
            worker = Worker(name, broker_url=url)
            app.register_worker(worker)

            @worker.task
            async def note() -> None:
                loops.append(asyncio.get_running_loop())

            handles.append(await note.send())
        await app.run(burst=True)
        assert len(set(map(id, loops))) == 3

    async def test_a_task_may_send_those_of_another_worker(self, url: str) -> None:
        app = App()
        first, second = Worker("first", broker_url=url), Worker("second", broker_url=url)
        app.register_worker(first)
        app.register_worker(second)

        @second.task
        async def double(number: int) -> int:
            app.stop()
            return 2 * number

        @first.task
        async def begin() -> str:
            return (await double.send(4)).id

        handle = await begin.send()
        await asyncio.wait_for(app.run(), 10)
        assert await double.handle(await handle.result(timeout=1)).result(timeout=1) == 8

    async def test_a_lifespan_that_fails_stops_them_all_and_says_whose_it_was(
        self, url: str
    ) -> None:
        closed, began = threading.Event(), threading.Event()

        @asynccontextmanager
        async def open_good(worker: Worker[Any]) -> AsyncIterator[int]:
            began.set()
            try:
                yield 1
            finally:
                closed.set()

        @asynccontextmanager
        async def open_bad(worker: Worker[Any]) -> AsyncIterator[str]:
            await asyncio.to_thread(began.wait, 10)
            yield str(1 / number)

        app, number = App(), 0
        good = Worker("good", broker_url=url, lifespan=open_good)
        bad = Worker("bad", broker_url=url, lifespan=open_bad)

        @good.task
        async def fine() -> None: ...

        @bad.task
        async def never() -> None: ...

        app.register_worker(good)
        app.register_worker(bad)
        with pytest.raises(ltq.LifespanError, match=r"'bad' .*open_bad raised ZeroDivisionError"):
            await asyncio.wait_for(app.run(), 10)
        assert closed.is_set()

    async def test_each_worker_has_a_resource_of_its_own(self, url: str) -> None:
        @asynccontextmanager
        async def open_name(worker: Worker[Any]) -> AsyncIterator[str]:
            yield f"of {worker.name}"

        app, handles = App(), []
        for name in ("a", "b"):
            worker = Worker(name, broker_url=url, lifespan=open_name)
            app.register_worker(worker)

            def make(worker: Worker[str]) -> Task[[], str]:
                @worker.task
                def read() -> str:
                    return worker.resource

                return read

            handles.append(await make(worker).send())
        await app.run(burst=True)
        assert await ltq.gather(*handles) == ("of a", "of b")

    async def test_without_workers_it_says_so(self) -> None:
        with pytest.raises(ltq.ConfigurationError, match="without workers"):
            await App().run()


class TestEmbedded:
    async def test_its_workers_run_beside_the_block(self, url: str) -> None:
        app, handles = App(), []
        for name in ("emails", "reports"):
            worker = Worker(name, broker_url=url)
            app.register_worker(worker)

            @worker.task
            async def where() -> int:
                return threading.get_ident()

            handles.append(await where.send())
        async with app as entered:
            assert entered is app
            assert all(len(worker.health()) == 1 for worker in app.workers)
            threads = await ltq.gather(*handles, timeout=10)
        assert len({*threads, threading.get_ident()}) == 3
        assert not any(worker.health() for worker in app.workers)
        async with app:
            assert all(worker.health() for worker in app.workers)

    async def test_the_end_of_the_block_lets_tasks_end(self, url: str) -> None:
        app, worker, begun = App(), Worker("emails", broker_url=url), threading.Event()

        @worker.task
        async def send() -> int:
            begun.set()
            return await asyncio.to_thread(left.wait, 10) + 1

        left = threading.Event()
        app.register_worker(worker)
        async with app:
            handle = await send.send()
            await asyncio.to_thread(begun.wait, 10)
            asyncio.get_running_loop().call_later(0.05, left.set)
        assert await handle.result(timeout=0) == 2

    async def test_it_is_entered_once_at_a_time(self, url: str) -> None:
        app, worker = App(), Worker("a", broker_url=url)

        @worker.task
        async def work() -> None: ...

        app.register_worker(worker)
        async with app:
            with pytest.raises(ltq.ConfigurationError, match="runs in an `async with` already"):
                await app.__aenter__()
        await app.__aexit__()  # it was left already

    async def test_what_ends_a_worker_before_it_runs_is_raised_and_ends_the_others(
        self, url: str
    ) -> None:
        app, good, bad = App(), Worker("good", broker_url=url), Worker("bad", broker_url=url)

        @good.task
        async def fine() -> None: ...

        app.register_worker(good)
        app.register_worker(bad)
        with pytest.raises(ltq.ConfigurationError, match="'bad' has no tasks"):
            async with app:
                pytest.fail("it was entered")
        assert good.health() == []

    async def test_what_ends_a_worker_later_is_raised_at_the_end(self, url: str) -> None:
        @asynccontextmanager
        async def lifespan(_: Worker[Any]) -> AsyncIterator[None]:
            yield
            raise OSError("disk")

        app = App()
        good, bad = Worker("good", url), Worker("bad", url, lifespan=lifespan)
        for worker in (good, bad):

            @worker.task
            async def work() -> None: ...

            app.register_worker(worker)
        await app.__aenter__()
        bad.stop()
        await eventually(lambda: not good.health(), 10, "it is stopped, too")
        with pytest.raises(ltq.LifespanError, match="disk"):
            await app.__aexit__()

    async def test_stop_ends_it_in_the_block(self, url: str) -> None:
        app, worker = App(), Worker("a", broker_url=url)

        @worker.task
        async def work() -> None: ...

        app.register_worker(worker)
        async with app:
            app.stop()
            await eventually(lambda: not worker.health(), 10)


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

    @pytest.mark.parametrize(
        ("pos", "expected"),
        [
            (-1, ["a", "b", "new"]),
            (0, ["new", "a", "b"]),
            (1, ["a", "new", "b"]),
            (-2, ["new", "a", "b"]),
            (9, ["a", "b", "new"]),
            (-9, ["new", "a", "b"]),
        ],
    )
    def test_its_place_is_among_the_apps(self, url: str, pos: int, expected: list[str]) -> None:
        app = App([Note("a", []), Note("b", [])])
        worker = Worker("w", broker_url=url, middlewares=[Note("own", [])])
        app.register_worker(worker)
        app.register_middleware(Note("new", []), pos)
        assert names(app.middlewares) == expected
        assert names(worker.middlewares) == [*expected, "own"]

    def test_it_goes_before_the_workers_own_whatever_was_put_where(self, url: str) -> None:
        app = App()
        worker = Worker("w", broker_url=url, middlewares=[Note("own", [])])
        app.register_worker(worker)
        app.register_middleware(Note("a", []))
        worker.register_middleware(Note("early", []), pos=0)
        app.register_middleware(Note("b", []))
        app.register_middleware(Note("c", []), pos=1)
        assert names(app.middlewares) == ["a", "c", "b"]
        assert names(worker.middlewares) == ["a", "c", "b", "early", "own"]

    @pytest.mark.parametrize("pos", [0, 1, 2, -2, -3, -9, 9, -1])
    def test_it_goes_first_whatever_the_place_of_the_workers(self, url: str, pos: int) -> None:
        def build(*, late: bool) -> list[str]:
            worker = Worker("w", broker_url=url, middlewares=[Note("own", [])])
            app = App(middlewares=[Note("a", []), Note("b", [])])
            steps: list[Callable[[], None]] = [
                lambda: app.register_worker(worker),
                lambda: worker.register_middleware(Note("new", []), pos),
                lambda: app.register_middleware(Note("c", [])),
            ]
            for step in [steps[1], steps[0], steps[2]] if late else steps:
                step()
            return names(worker.middlewares)

        for late in (False, True):
            assert build(late=late)[:3] == ["a", "b", "c"]
            assert sorted(build(late=late)[3:]) == ["new", "own"]

    def test_the_apps_are_all_before_it_with_two_of_them(self, url: str) -> None:
        worker = Worker("w", broker_url=url, middlewares=[Note("own", [])])
        one, other = App(middlewares=[Note("one", [])]), App(middlewares=[Note("other", [])])
        one.register_worker(worker)
        other.register_worker(worker)
        worker.register_middleware(Note("new", []), pos=0)
        assert names(worker.middlewares) == ["other", "one", "new", "own"]

    async def test_a_send_option_needs_its_middleware_as_well(self, url: str) -> None:
        worker = Worker("w", broker_url=url, middlewares=[])
        runs: list[int] = []

        @worker.task
        async def fail() -> None:
            runs.append(ltq.current().attempt)
            raise ltq.RetryError

        twice = fail.with_options(max_tries=2)
        with pytest.raises(ltq.ConfigurationError, match="w:fail is sent with max_tries, but no"):
            await twice.send()
        with pytest.raises(ltq.ConfigurationError, match="max_tries"):
            await fail.send_many([twice.message()])
        assert (await worker.broker.stats([fail.queue]))[0].pending == 0
        app = App([ltq.MaxTries()])
        app.register_worker(worker)
        await twice.send()
        await app.run(burst=True)
        assert runs == [1, 2]


def names(middlewares: list[Middleware]) -> list[str]:
    return [one.name for one in middlewares if isinstance(one, Note)]


def test_a_name_is_registered_once(url: str) -> None:
    app = App()
    app.register_worker(Worker("a", broker_url=url))
    with pytest.raises(ltq.ConfigurationError, match="'a' is registered already"):
        app.register_worker(Worker("a", broker_url=url))


async def test_cancelling_it_requeues_what_runs(url: str) -> None:
    worker, started = Worker("emails", url), threading.Event()

    @worker.task
    async def send() -> None:
        started.set()
        await asyncio.Event().wait()

    handle = await send.send()
    app = App()
    app.register_worker(worker)
    running = asyncio.create_task(app.run())
    await asyncio.to_thread(started.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    state = await handle.state()
    assert (state.status, state.requeue_count) == (ltq.Status.PENDING, 1)
