"""Workers in the registry: while they run, while they are blocked, and after their end."""

import asyncio
import os
import threading

import pytest

from ltq import Worker
from ltq.broker import Broker
from ltq.state import WorkerInfo
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import make_worker_entry

SHORT = 2.0
"""Seconds of a lease, with time enough for a busy machine to renew it."""


async def listed(broker: Broker) -> WorkerInfo:
    """The one worker that is listed."""

    async def found() -> list[WorkerInfo]:
        return await broker.workers()

    (info,) = await eventually(found, description="a worker that is listed")
    return info


class TestListedWorkers:
    async def test_one_that_idles_is_listed(self, worker: Worker, broker: Broker) -> None:
        @worker.task(queue="letters")
        async def write() -> None: ...

        @worker.task
        async def read() -> None: ...

        before = await broker.time()
        async with worker:
            info = await listed(broker)
        assert (info.pid, info.concurrency, info.status) == (os.getpid(), 10, "alive")
        assert info.queues == ("letters", "shop:read")
        assert info.host
        assert info.name.rpartition("-")[0].endswith(f"-{os.getpid()}")
        assert info.started is not None
        assert info.seen is not None
        assert before - 0.01 <= info.started <= info.seen + 0.01

    async def test_its_tasks_are_those_that_run(self, worker: Worker, broker: Broker) -> None:
        go_on = asyncio.Event()

        @worker.task
        async def work() -> str:
            await go_on.wait()
            return (await broker.workers())[0].name

        async with worker:
            handle = await work.send()

            async def running() -> bool:
                return (await listed(broker)).running == (handle.id,)

            await eventually(running, description="a task that runs")
            info = await listed(broker)
            state = await handle.state()
            assert (info.name, info.since) == (state.worker, state.last_dequeue_time)
            go_on.set()
            assert await handle.result(PATIENCE) == info.name

    async def test_one_that_stops_in_order_is_gone_at_once(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task
        async def work() -> None: ...

        async with worker:
            await listed(broker)

            async def is_served() -> bool:
                return await broker.served(["shop:work"]) == [0.0]

            await eventually(is_served, description="its first claim")
        assert await broker.workers() == []
        (age,) = await broker.served(["shop:work"])
        assert age is not None
        assert age > 0, "the last one of its queues is gone"

    async def test_a_burst_that_ends_is_gone(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def work() -> None:
            await listed(broker)

        await work.send()
        await worker.run(burst=True)
        assert await broker.workers() == []

    async def test_several_runs_of_one_worker_are_several(
        self, worker: Worker, broker: Broker
    ) -> None:
        other = Worker("shop", broker=broker.clone(), lease=5.0)
        for each in (worker, other):

            @each.task
            async def work() -> None: ...

        async with worker, other:

            async def both() -> bool:
                return len(await broker.workers()) == 2

            await eventually(both, description="two workers")

    async def test_a_blocked_event_loop_is_alive(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.heartbeat.BLOCKED_AFTER", 0.2)
        worker = Worker("shop", broker=broker, lease=SHORT)
        found: list[WorkerInfo] = []
        enough = threading.Event()

        @worker.task
        async def block() -> None:
            enough.wait(PATIENCE)

        async def watch() -> None:
            async with broker.clone() as own:

                async def longer_than_a_lease() -> bool:
                    found.extend(await own.workers())
                    times = [info.seen for info in found if info.seen is not None]
                    return max(times) - min(times) > SHORT

                await eventually(longer_than_a_lease, description="a blocked worker that lives")

        def look() -> None:
            try:
                asyncio.run(watch())
            finally:
                enough.set()

        async with worker:
            await listed(broker)
            handle = await block.send()
            thread = threading.Thread(target=look)
            thread.start()
            await handle.wait(3 * PATIENCE)
            await asyncio.to_thread(thread.join)
        assert {info.status for info in found} == {"alive"}

    async def test_one_is_listed_again_after_its_entry_was_lost(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, lease=0.3)

        @worker.task
        async def work() -> None: ...

        async with worker:
            info = await listed(broker)
            entry = make_worker_entry(name=info.name, queues=info.queues)
            await broker.leave(entry)
            again = await listed(broker)
        assert (again.name, again.started) == (info.name, info.started)
