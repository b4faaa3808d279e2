"""One run of a worker: how its parts are joined, started and ended."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import ltq
from ltq._worker.parts import RunConfig
from ltq._worker.run import WorkerRun
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Outcome, Receipt
from ltq.names import new_id
from ltq.state import Status
from tests.eventually import eventually
from tests.worker.doubles import make_lease, soon, turns


class Stand:
    """A worker with a task that begins and waits, and the runs of it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(f"memory://{new_id()}")
        self.worker = ltq.Worker("mail", broker=self.broker)
        self.begun = asyncio.Event()
        self.end = asyncio.Event()

        @self.worker.task
        async def hang() -> str:
            self.begun.set()
            await self.end.wait()
            return "done"

        self.hang = hang

    def run(self, **options: Any) -> WorkerRun:
        defaults: dict[str, Any] = {"concurrency": 2, "lease": 15.0, "shutdown_timeout": 5.0}
        return WorkerRun(
            RunConfig(
                name="mail",
                broker=self.broker,
                tasks=self.worker._tasks,
                middlewares=self.worker.middlewares,
                events=self.worker._events,
                **{**defaults, **options},
            )
        )


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    yield stand
    await stand.broker.aclose()


OTHERS: set[threading.Thread] = set()
"""Threads that were there before the test."""


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def ours() -> list[str]:
    """The names of LTQ's background tasks and threads."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    names += [thread.name for thread in threading.enumerate() if thread not in OTHERS]
    return [name for name in names if name.startswith("ltq-")]


class TestBurst:
    async def test_it_runs_what_is_due_and_leaves_nothing_behind(self, stand: Stand) -> None:
        stand.end.set()
        handles = [await stand.hang.send() for _ in range(5)]
        run = stand.run(burst=True)
        await asyncio.wait_for(run.run(), 10)
        assert [(await handle.state()).status for handle in handles] == [Status.COMPLETED] * 5
        await eventually(lambda: ours() == [])

    async def test_what_an_outcome_leaves_to_do_is_done(self, stand: Stand) -> None:
        @stand.worker.task
        async def again() -> None:
            if ltq.current().attempt < 3:
                raise ltq.RetryError(delay=0)

        handle = await again.send()
        await asyncio.wait_for(stand.run(burst=True).run(), 10)
        assert (await handle.state()).dequeue_count == 3


class TestStop:
    async def test_what_runs_may_end(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        run = stand.run()
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        run.stop()
        await eventually(lambda: run.health().is_stopping)
        stand.end.set()
        await asyncio.wait_for(running, 5)
        assert (await handle.state()).status is Status.COMPLETED
        await eventually(lambda: ours() == [])

    async def test_at_once_it_goes_back(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        run = stand.run()
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        run.stop(now=True)
        run.stop(now=True)
        await asyncio.wait_for(running, 5)
        state = await handle.state()
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)

    async def test_after_the_timeout_too(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        run = stand.run(shutdown_timeout=0.0)
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        run.stop()
        await asyncio.wait_for(running, 5)
        assert (await handle.state()).status is Status.PENDING

    async def test_before_the_beginning_nothing_is_claimed(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        run = stand.run()
        run.stop()
        await turns()
        await asyncio.wait_for(run.run(), 5)
        assert (await handle.state()).dequeue_count == 0

    async def test_one_that_does_not_end_is_requeued_while_it_runs(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("ltq._worker.run._CANCEL_TIMEOUT", 0.0)

        @stand.worker.task
        async def stay() -> None:
            stand.begun.set()
            while not stand.end.is_set():
                try:
                    await stand.end.wait()
                except asyncio.CancelledError:
                    continue

        handle = await stay.send()
        run = stand.run()
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        run.stop(now=True)
        await asyncio.wait_for(running, 5)
        assert (await handle.state()).status is Status.PENDING
        assert "does not end when cancelled" in caplog.text
        stand.end.set()
        await turns()


class TestCancelled:
    async def test_it_requeues_and_closes_all(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        running = asyncio.create_task(stand.run().run())
        await soon(stand.begun)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await handle.state()).status is Status.PENDING
        await eventually(lambda: ours() == [])

    @pytest.mark.parametrize("times", [2, 3, 10])
    async def test_also_when_it_is_cancelled_again_and_again(
        self, stand: Stand, times: int
    ) -> None:
        # So does anyio: it cancels at each await until the task has ended.
        await stand.hang.send()
        running = asyncio.create_task(stand.run().run())
        await soon(stand.begun)
        for _ in range(times):
            running.cancel()
            await turns(1)
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: ours() == [])

    async def test_a_part_that_fails_to_close_leaves_no_other_open(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(_: object) -> None:
            raise BrokerError("a consumer that cannot be closed")

        monkeypatch.setattr("ltq.brokers.memory._consumer.MemoryConsumer.aclose", fail)
        stand.end.set()
        await stand.hang.send()
        with pytest.raises(BrokerError, match="cannot be closed"):
            await stand.run(burst=True).run()
        await eventually(lambda: ours() == [])


class TestListener:
    async def started(self, stand: Stand) -> tuple[WorkerRun, "asyncio.Task[None]"]:
        run = stand.run()
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        return run, running

    async def test_a_lost_lease_ends_its_run_and_is_renewed_no_longer(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        await stand.hang.send()
        run, running = await self.started(stand)
        (lease,) = run._parts.leases.all()
        run.lease_lost(lease)
        assert run._parts.leases.all() == []
        await eventually(lambda: run.health().running == 0)
        run.lease_lost(lease)
        assert caplog.text.count("its lease is lost") == 1
        run.stop()
        await running

    async def test_a_revoked_task_ends(self, stand: Stand) -> None:
        handle = await stand.hang.send()
        run, running = await self.started(stand)
        run.task_revoked(handle.id)
        await eventually(lambda: run.health().running == 0)
        run.stop()
        await running

    async def test_before_a_sweep_only_late_leases_are_renewed(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stand.hang.send()
        run, running = await self.started(stand)
        asked: list[int] = []

        async def heartbeat(leases: list[Any], duration: float) -> list[Any]:
            asked.append(len(leases))
            return leases

        monkeypatch.setattr(stand.broker, "heartbeat", heartbeat)
        await run.before_sweep("")
        assert asked == []
        run._parts.heartbeat.renewed_at -= 10.0
        await run.before_sweep("")
        assert asked == [1]
        await eventually(lambda: run.health().running == 0)
        run.stop()
        await running

    async def test_what_blocks_the_loop_is_named(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = stand.run()
        run._parts.blocked.loop_blocked()
        assert "is blocked by code outside any task" in caplog.text


class TestHealth:
    async def test_it_tells_what_runs(self, stand: Stand) -> None:
        for _ in range(2):
            await stand.hang.send()
        run = stand.run()
        running = asyncio.create_task(run.run())
        await eventually(lambda: run.health().running == 2)
        health = run.health()
        assert (health.worker, health.lease, health.is_full) == ("mail", 15.0, True)
        assert (health.is_stopping, health.claimed_ago < 5, health.renewed_ago < 5) == (
            False,
            True,
            True,
        )
        stand.end.set()
        run.stop()
        await running
        assert run.health().is_stopping


class TestFinishing:
    async def test_outcomes_that_cannot_be_written_do_not_hold_it_up(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("ltq._worker.run._LAST_CALLS", 0.0)
        monkeypatch.setattr(stand.broker, "finish", never_answered)
        await stand.hang.send()
        run = stand.run(shutdown_timeout=0.0)
        running = asyncio.create_task(run.run())
        await soon(stand.begun)
        run.stop()
        await asyncio.wait_for(running, 5)
        assert "1 outcomes could not be written" in caplog.text
        await eventually(lambda: ours() == [])


async def never_answered(_: list[Outcome]) -> list[Receipt]:
    await asyncio.Event().wait()
    return []


async def test_a_lease_is_released_once_its_outcome_is_written(stand: Stand) -> None:
    await stand.hang.send()
    run = stand.run()
    running = asyncio.create_task(run.run())
    await soon(stand.begun)
    assert len(run._parts.leases.all()) == 1
    assert make_lease(1) not in run._parts.leases
    stand.end.set()
    await eventually(lambda: run._parts.leases.all() == [])
    run.stop()
    await running
