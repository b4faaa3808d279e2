"""Workers of paused queues, and delayed tasks that run before they are due."""

import asyncio

from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, SOON
from ltq.testing.conformance._support.fixtures import OpenBroker


class TestPausedWorker:
    async def test_what_waits_runs_when_the_queue_goes_on(
        self, broker: Broker, worker: Worker
    ) -> None:
        @worker.task
        async def pay() -> int:
            return 7

        @worker.task
        async def ship() -> int:
            return 8

        await broker.pause(pay.queue)
        async with worker:
            paid, shipped = await pay.send(), await ship.send()
            assert await shipped.result(PATIENCE) == 8  # the worker is at work
            assert (await paid.state()).status is Status.PENDING
            await broker.resume(pay.queue)
            assert await paid.result(SOON) == 7

    async def test_what_runs_ends_and_its_retry_waits(self, broker: Broker, worker: Worker) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @worker.task(max_tries=2, backoff=0.01)
        async def pay() -> int:
            begun.set()
            await go_on.wait()
            raise OSError("declined")

        @worker.task
        async def ship() -> int:
            await go_on.wait()
            return 8

        async with worker:
            shipped = await ship.send()
            paid = await pay.send()
            await asyncio.wait_for(begun.wait(), PATIENCE)
            await broker.pause(pay.queue)
            await broker.pause(ship.queue)
            go_on.set()
            assert await shipped.result(PATIENCE) == 8
            async for state in paid.watch(timeout=PATIENCE):
                if state.status is Status.PENDING:
                    break
            assert (state.dequeue_count, state.requeue_count) == (1, 1)

    async def test_a_burst_leaves_it_alone(self, open_broker: OpenBroker, worker: Worker) -> None:
        broker = open_broker()

        @worker.task(max_rate="1/m")
        async def pay() -> int:
            return 7

        await broker.pause(pay.queue)
        handles = [await pay.send() for _ in range(2)]
        await worker.run(burst=True)
        assert [(await one.state()).status for one in handles] == [Status.PENDING] * 2

    async def test_a_delayed_task_runs_now(self, broker: Broker, worker: Worker) -> None:
        @worker.task
        async def pay() -> int:
            return 7

        async with worker:
            handle = await pay.with_options(delay=600).send()
            assert await broker.promote(pay.queue, [handle.id]) == 1
            assert await handle.result(SOON) == 7
