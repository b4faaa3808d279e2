"""The lifecycle that all background work shares."""

import asyncio
import logging
import sys
from contextvars import ContextVar

import pytest

from ltq._aio.service import Service, cancel_all, first_of, spawn

logger = logging.getLogger("ltq.test")

request: ContextVar[str] = ContextVar("request", default="none")


class Loop(Service):
    """Runs until it is cancelled, or told to end or to fail; keeps a record."""

    def __init__(self) -> None:
        super().__init__("ltq-loop", logger)
        self.seen: list[str] = []
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.error: Exception | None = None

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.seen.append(f"{task.get_name()} for {request.get()}")
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        if self.error is not None:
            raise self.error

    def work_on(self, until: asyncio.Event) -> "asyncio.Task[bool]":
        return self._spawn(until.wait(), "work")


@pytest.fixture
async def service() -> Loop:
    return Loop()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned


class TestTasks:
    async def test_they_have_a_name_and_an_empty_context(self, service: Loop) -> None:
        token = request.set("mine")
        service.start()
        work = service.work_on(asyncio.Event())
        spawned = spawn(turns(), name="ltq-alone")
        request.reset(token)
        await service.begun.wait()
        assert service.seen == ["ltq-loop for none"]
        assert (work.get_name(), spawned.get_name()) == ("ltq-loop-work", "ltq-alone")
        await spawned
        await service.aclose()

    async def test_a_failed_one_is_logged(
        self, service: Loop, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.error = ValueError("broken")
        service.start()
        service.end.set()
        assert await service.drain(5)
        await turns()
        (record,) = caplog.records
        assert record.getMessage() == "ltq-loop failed"
        assert record.exc_info is not None
        assert record.exc_info[1] is service.error

    async def test_a_failed_one_beside_the_loop_is_logged_even_where_somebody_waits(
        self, service: Loop, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail() -> None:
            raise ValueError("broken")

        service.start()
        waiting = asyncio.create_task(service.wait())
        await service.begun.wait()
        service._spawn(fail(), "beside")
        await turns()
        service.end.set()
        await waiting
        assert [record.getMessage() for record in caplog.records] == ["ltq-loop-beside failed"]

    async def test_a_cancelled_one_is_not(
        self, service: Loop, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.start()
        await service.begun.wait()
        await service.aclose()
        await turns()
        assert service.seen[-1] == "cancelled"
        assert caplog.records == []


class TestFirstOf:
    async def test_the_others_are_cancelled(self) -> None:
        other = asyncio.Event()

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                other.set()

        await first_of(turns(), wait(), name="ltq-test")
        assert other.is_set()

    async def test_it_raises_what_the_first_raised(self) -> None:
        async def fail() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await first_of(asyncio.Event().wait(), fail(), name="ltq-test")

    async def test_cancelled_it_cancels_all(self) -> None:
        running = asyncio.create_task(first_of(asyncio.Event().wait(), name="ltq-test"))
        await turns()
        await cancel_all([running])
        await turns()
        assert [task for task in asyncio.all_tasks() if task.get_name() == "ltq-test"] == []


class TestStart:
    async def test_twice_is_once(self, service: Loop) -> None:
        service.start()
        service.start()
        await service.begun.wait()
        await turns()
        assert len(service.seen) == 1
        await service.aclose()

    async def test_after_the_end_it_starts_again(self, service: Loop) -> None:
        for count in (1, 2):
            service.begun.clear()
            service.start()
            assert (service.is_running, service.is_stopping) == (True, False)
            await service.begun.wait()
            await service.aclose()
            assert (service.is_running, service.is_stopping) == (False, True)
            assert service.seen.count("cancelled") == count


class TestStop:
    async def test_it_ends_the_loop_and_leaves_the_rest(self, service: Loop) -> None:
        let_through = asyncio.Event()
        service.start()
        work = service.work_on(let_through)
        await service.begun.wait()
        service.stop()
        service.stop()
        await service.wait()
        assert service.seen[-1] == "cancelled"
        assert not work.done()
        let_through.set()
        assert await service.drain(5)
        assert work.done()

    async def test_one_that_never_started_is_fine(self, service: Loop) -> None:
        service.stop()
        await service.wait()
        await service.aclose()
        await service.aclose()
        assert await service.drain()


class TestWait:
    async def test_it_raises_what_ended_the_loop_and_nothing_is_logged(
        self, service: Loop, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.error = ValueError("broken")
        service.start()
        service.end.set()
        with pytest.raises(ValueError, match="broken"):
            await service.wait()
        await turns()
        assert caplog.records == []

    async def test_a_cancelled_wait_leaves_the_loop_alone(self, service: Loop) -> None:
        service.start()
        waiting = asyncio.create_task(service.wait())
        await service.begun.wait()
        await cancel_all([waiting])
        assert service.is_running
        await service.aclose()


class TestDrain:
    async def test_it_says_that_something_still_runs(self, service: Loop) -> None:
        service.start()
        assert not await service.drain(0.0)
        assert service.is_running
        await service.aclose()
        assert await service.drain(0.0)

    async def test_it_waits_for_what_is_started_meanwhile(self, service: Loop) -> None:
        late, work = asyncio.Event(), list[asyncio.Task[bool]]()
        service.start()
        draining = asyncio.create_task(service.drain(5))
        await service.begun.wait()
        work.append(service.work_on(late))
        service.end.set()
        await turns()
        assert not draining.done()
        late.set()
        assert await draining


class TestClose:
    async def test_it_cancels_all_and_waits_for_the_last(self, service: Loop) -> None:
        given_up = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await turns()
                given_up.set()

        service.start()
        service._spawn(work(), "slow")
        await service.begun.wait()
        await service.aclose()
        assert given_up.is_set()

    async def test_a_task_of_its_own_may_close_it(self, service: Loop) -> None:
        service.start()
        await service.begun.wait()
        await asyncio.wait_for(service._spawn(service.aclose(), "closer"), 5)
        assert not service.is_running


if sys.version_info >= (3, 12):  # eager tasks came with it

    async def test_it_begins_in_a_later_turn_where_tasks_are_eager() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        service = Loop()
        service.end.set()
        for _ in range(2):
            service.start()
            assert service.is_running
            await service.wait()
            assert not service.is_running
        # With its name: Python 3.12 names an eager task only after its first step.
        assert service.seen == ["ltq-loop for none"] * 2

    async def test_cancelled_before_it_begins_it_never_runs_where_tasks_are_eager() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        service = Loop()
        service.start()
        await service.aclose()
        assert not service.seen
