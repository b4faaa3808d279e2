"""A task that blocks the event loop: its lease is kept, but not beyond its timeout."""

import asyncio
import contextlib
import threading

import pytest

import ltq
from ltq import Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.renewals import Renewals


async def run_and_close(worker: Worker) -> None:
    async with contextlib.aclosing(worker), asyncio.timeout(3 * PATIENCE):
        await worker.run()  # not for ever: nobody could end its thread


class TestBlockedLoop:
    async def test_it_loses_no_lease_and_is_logged_by_name(
        self,
        broker: Broker,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("ltq._worker.heartbeat.BLOCKED_AFTER", 0.2)
        worker = Worker("shop", broker=broker, lease=0.5)
        renewals = Renewals(broker, monkeypatch)

        @worker.task
        async def block() -> int:
            renewals.wait(4)  # so the loop is blocked for longer than a lease
            return ltq.current().attempt

        handle = await block.send()
        async with worker:
            state = await handle.wait(PATIENCE)
        assert (state.result, state.dequeue_count, state.requeue_count) == (1, 1, 0)
        assert f"the event loop is blocked by shop:block {handle.id}" in caplog.text

    async def test_beyond_its_timeout_it_runs_elsewhere_and_so_do_its_neighbours(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.heartbeat.BLOCKED_AFTER", 0.02)
        monkeypatch.setattr("ltq._worker.blocked_loop.GRACE", 0.05)
        worker = Worker("shop", broker=broker, concurrency=3, lease=1.0)
        begun, in_thread, go_on = threading.Event(), threading.Event(), threading.Event()
        threads: dict[str, set[str]] = {"block": set(), "wait": set(), "work": set()}

        def note(name: str) -> bool:
            """Note the thread of an event loop; return whether it is the first one."""
            threads[name].add(threading.current_thread().name)
            return len(threads[name]) == 1

        @worker.task
        async def wait() -> int:
            if note("wait"):
                begun.set()
                await asyncio.Event().wait()
            return ltq.current().attempt

        @worker.task
        def work() -> int:
            in_thread.set()
            go_on.wait(PATIENCE)
            return ltq.current().attempt

        @worker.task(timeout=0.05)
        async def block() -> int:
            if note("block"):
                go_on.wait(PATIENCE)
            return ltq.current().attempt

        neighbours = [await wait.send(), await work.send()]

        running = asyncio.create_task(asyncio.to_thread(asyncio.run, run_and_close(worker)))
        for event in (begun, in_thread):
            assert await asyncio.to_thread(event.wait, PATIENCE)
        blocking = await block.send()
        await eventually(lambda: threads["block"])  # the other one would block this event loop
        other = Worker("shop", broker=broker, concurrency=3, lease=1.0)
        other.task(wait.fn)
        other.task(timeout=0.05)(block.fn)
        async with other:
            assert await blocking.result(timeout=PATIENCE) == 1
            assert await neighbours[0].result(timeout=PATIENCE) == 1
            go_on.set()
            # In its thread, a neighbour went on: it has run once.
            assert await neighbours[1].result(timeout=PATIENCE) == 1
        states = [await handle.state() for handle in (blocking, *neighbours)]
        assert [state.requeue_count for state in states] == [1, 1, 0]
        worker.stop()
        await asyncio.wait_for(running, PATIENCE)
