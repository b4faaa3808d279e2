"""Workers, Apps and schedulers that are cancelled in any step of their life leave nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import anyio
import pytest
import redis

import ltq
from ltq._aio.cancellation import Cuttable
from ltq._aio.closing import to_the_end
from ltq.names import new_id
from tests.elapse import elapse
from tests.eventually import eventually

Runnable: TypeAlias = ltq.Worker[Any] | ltq.App | ltq.Scheduler

KINDS = ["worker", "app", "scheduler"]


def make(kind: str, url: str, lifespan: Any = None) -> Runnable:
    """A worker, an App or a scheduler. Each run needs another one."""
    worker = ltq.Worker(f"cut-{new_id()[:4]}", url, lifespan=lifespan, shutdown_timeout=0.2)

    @worker.task
    async def work() -> None: ...

    if kind == "worker":
        return worker
    if kind == "app":
        app = ltq.App()
        app.register_worker(worker)
        return app
    scheduler = ltq.Scheduler(url)
    scheduler.cron("0 0 1 1 *", work.message())
    return scheduler


async def inside(runnable: Runnable) -> None:
    """Enter it, and leave it soon."""
    async with runnable:
        await elapse(0.02, "it runs for a moment")


async def run(runnable: Runnable) -> None:
    """Run it, and close what a worker leaves open."""
    try:
        await runnable.run()
    finally:
        if isinstance(runnable, ltq.Worker):
            await runnable.aclose()


async def cut(work: Awaitable[None], step: int, more: int) -> None:
    """Cancel work at one of its steps, and again at each of the next `more` steps."""
    task, steps = asyncio.ensure_future(work), 0
    while not task.done():
        if step <= steps <= step + more:
            task.cancel()
        steps += 1
        await (asyncio.sleep(0) if steps <= step + more else asyncio.wait([task]))
    with suppress(asyncio.CancelledError):  # it may have ended before
        await task


def alive() -> set[Any]:
    """The asyncio tasks and threads there are, except for the calling one."""
    return {*asyncio.all_tasks(), *threading.enumerate()} - {asyncio.current_task()}


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """What the test starts has ended after it."""
    before = alive()
    yield
    await eventually(lambda: not alive() - before, 10, f"{alive() - before} ended")


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_left")
class TestCancelled:
    @pytest.mark.parametrize("more", [0, 1, 1_000], ids=["once", "twice", "always"])
    @pytest.mark.parametrize("way", [inside, run])
    @pytest.mark.parametrize("kind", KINDS)
    async def test_in_any_step(
        self, kind: str, way: Callable[[Runnable], Awaitable[None]], more: int
    ) -> None:
        for step in (*range(12), 15, 20, 30):
            await cut(way(make(kind, f"memory://{new_id()}")), step, more)

    @pytest.mark.slow
    @pytest.mark.parametrize("way", [inside, run])
    @pytest.mark.parametrize("kind", KINDS)
    async def test_in_any_step_its_connections_are_closed(
        self, redis_url: str, kind: str, way: Callable[[Runnable], Awaitable[None]]
    ) -> None:
        with redis.Redis.from_url(redis_url) as client:

            def connections() -> dict[str, Any]:
                return {one["id"]: one for one in client.client_list()}

            before = connections()  # some of an earlier test may be about to close
            for step in (*range(0, 30, 2), *range(30, 90, 10)):
                await cut(way(make(kind, redis_url)), step, 0)
            await eventually(lambda: connections().keys() <= before.keys(), 10, "all are closed")

    @pytest.mark.parametrize("kind", KINDS)
    async def test_by_a_scope_that_cancels_each_await(self, kind: str) -> None:
        for after in (0.0, 0.005, 0.02):
            with anyio.move_on_after(after):
                await inside(make(kind, f"memory://{new_id()}"))

    @pytest.mark.parametrize("kind", KINDS)
    async def test_it_may_run_again(self, kind: str) -> None:
        for way in (inside, run):
            runnable = make(kind, f"memory://{new_id()}")
            for step in (1, 3, 9):
                await cut(way(runnable), step, 1)
            await inside(runnable)

    @pytest.mark.parametrize("kind", ["worker", "app"])
    @pytest.mark.parametrize("phase", ["start", "exit"])
    async def test_a_lifespan_that_hangs_is_cancelled_as_well(self, kind: str, phase: str) -> None:
        hanging = asyncio.get_running_loop().create_future()

        @asynccontextmanager
        async def lifespan(_: ltq.Worker[Any]) -> AsyncIterator[None]:
            if phase == "exit":
                yield
            hanging.get_loop().call_soon_threadsafe(hanging.set_result, None)
            await asyncio.Event().wait()
            if phase == "start":
                yield

        leaving = asyncio.create_task(inside(make(kind, f"memory://{new_id()}", lifespan)))
        await hanging
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(leaving, 10)


class TestClosing:
    async def test_the_end_of_a_worker_closes_a_slow_broker(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = make("worker", f"memory://{new_id()}")
        assert isinstance(worker, ltq.Worker)
        gate, closed = asyncio.Event(), asyncio.Event()

        async def aclose() -> None:
            await gate.wait()
            closed.set()

        monkeypatch.setattr(worker.broker, "aclose", aclose)
        closing = asyncio.create_task(worker.aclose())
        for _ in range(3):
            await asyncio.sleep(0)
            closing.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert closed.is_set()

    async def test_what_never_closes_is_left_in_the_end(self) -> None:
        was_cancelled = asyncio.Event()

        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                was_cancelled.set()
                raise

        closing = asyncio.create_task(to_the_end(hang(), within=0.05))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(closing, 5)
        await asyncio.wait_for(was_cancelled.wait(), 5)

    async def test_its_value_and_its_error_are_those_of_the_work(self) -> None:
        async def seven() -> int:
            return 7

        async def fail() -> None:
            raise OSError

        assert await to_the_end(seven()) == 7
        with pytest.raises(OSError):  # noqa: PT011  it has no text
            await to_the_end(fail())


class TestCuttable:
    async def test_it_ends_at_a_cut_without_an_error(self) -> None:
        with Cuttable() as block:
            asyncio.get_running_loop().call_soon(block.cut)
            await asyncio.Event().wait()
        assert block.was_cut
        await asyncio.sleep(0)  # nothing is left of the cancellation

    async def test_before_and_after_it_a_cut_does_nothing(self) -> None:
        block = Cuttable()
        block.cut()
        with block:
            await asyncio.sleep(0)
        block.cut()
        await asyncio.sleep(0)
        assert not block.was_cut

    async def test_others_may_cancel_the_task_as_well(self) -> None:
        async def wait() -> None:
            with Cuttable() as block:
                blocks.append(block)
                await asyncio.Event().wait()

        blocks: list[Cuttable] = []
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        blocks[0].cut()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_an_error_while_it_is_cut_is_raised(self) -> None:
        with pytest.raises(OSError), Cuttable() as block:  # noqa: PT011, PT012  it has no text
            asyncio.get_running_loop().call_soon(block.cut)
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError
