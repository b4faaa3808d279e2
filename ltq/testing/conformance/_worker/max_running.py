"""`max_running` over all workers."""

import asyncio

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.options import Limit
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import QUEUE
from ltq.testing.conformance._support.fixtures import OpenBroker

TWO = {QUEUE: Limit(running=2)}


class TestMaxRunningInAWorker:
    async def test_so_many_run_and_all_are_done(self, open_broker: OpenBroker) -> None:
        running, most = 0, 0
        workers = [Worker("shop", broker=open_broker(), concurrency=10) for _ in range(2)]

        async def work(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)  # the task's own time
            running -= 1
            return number

        tasks = [worker.task(name="work", max_running=2)(work) for worker in workers]
        handles = [await tasks[0].send(number) for number in range(20)]
        async with workers[0], workers[1]:
            states = await asyncio.gather(*(handle.wait(PATIENCE) for handle in handles))
        assert {state.status for state in states} == {Status.COMPLETED}
        assert {state.dequeue_count for state in states} == {1}
        assert most == 2

    async def test_in_a_shared_queue_it_waits_in_a_lane_of_its_own(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=10)
        gate = asyncio.Event()
        running = 0

        @worker.task(queue="shop:all", max_running=1)
        async def slow() -> None:
            nonlocal running
            running += 1
            await gate.wait()

        @worker.task(queue="shop:all")
        async def quick() -> int:
            return 1

        for _ in range(3):
            await slow.send()
        async with worker:
            assert await (await quick.send()).result(PATIENCE) == 1
            await eventually(lambda: running == 1)
            gate.set()
            await eventually(lambda: running == 3)

    async def test_one_that_retries_lets_another_start(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=10)
        order: list[tuple[int, int]] = []

        @worker.task(max_running=1, max_tries=2, backoff=lambda failed: 0.2)
        async def fail_first(number: int) -> None:
            order.append((number, len(order)))
            if number == 0 and len(order) == 1:
                raise ValueError("no")

        handles = [await fail_first.send(number) for number in range(3)]
        async with worker:
            for handle in handles:
                assert (await handle.wait(PATIENCE)).status is Status.COMPLETED
        assert [number for number, _ in order] == [0, 1, 2, 0]

    async def test_what_was_sent_under_a_limit_is_served_without_it(
        self, open_broker: OpenBroker
    ) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))

        async def work() -> int:
            return 1

        handle = await old.task(name="work", queue="shop:all", max_running=2)(work).send()
        new.task(name="work", queue="shop:all")(work)
        await new.run(burst=True)
        assert await handle.result(1) == 1

    async def test_another_task_in_its_own_queue_is_refused(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker)

        @worker.task(max_running=1)
        async def one() -> None: ...

        @worker.task(queue="shop:one")
        async def other() -> None: ...

        with pytest.raises(ltq.ConfigurationError, match="waits in queue 'shop:one'"):
            await worker.run(burst=True)


class TestChangedLimitInAWorker:
    """A version of a worker that declares another limit starts beside the old one."""

    @pytest.mark.parametrize("queue", ["shop:call", "shop:shared"])
    async def test_a_raised_rate_holds_at_once(self, open_broker: OpenBroker, queue: str) -> None:
        old, new = (Worker("shop", broker=open_broker(), concurrency=1) for _ in range(2))

        async def call(number: int) -> int:
            return number

        hourly = old.task(name="call", max_rate="1/h", queue=queue)(call)
        new.task(name="call", max_rate="20/s", queue=queue)(call)
        handles = await hourly.send_many([hourly.message(number) for number in range(4)])
        async with old:
            assert await handles[0].result(PATIENCE) == 0
            async with new:
                assert await ltq.gather(*handles, timeout=PATIENCE) == (0, 1, 2, 3)
