"""How many of a task run at once, over all workers."""

import asyncio

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.message import Requeue
from ltq.options import Limit, Rate
from tests.conformance.conftest import MakeBroker, MakeConsumer
from tests.conformance.factories import QUEUE, claim_ids, lose, publish_many, started
from tests.eventually import eventually

TWO = {QUEUE: Limit(running=2)}


class TestClaim:
    async def test_no_more_are_given(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        ids = await publish_many(broker, 5)
        consumer = make_consumer(limits=TWO)
        assert await claim_ids(consumer, 10) == ids[:2]
        claim = await consumer.claim(10)
        assert claim.deliveries == []
        assert claim.start_in is not None
        assert (await broker.stats([QUEUE]))[0].pending == 3

    async def test_it_holds_over_all_consumers(
        self, broker: Broker, make_broker: MakeBroker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 5)
        consumers = [make_consumer(on=make_broker(), limits=TWO) for _ in range(3)]
        claims = await asyncio.gather(*(consumer.claim(10) for consumer in consumers))
        assert sum(len(claim.deliveries) for claim in claims) == 2

    @pytest.mark.parametrize("how", ["released", "requeued", "cancelled", "lost"])
    async def test_another_may_start_when_one_ends(
        self, broker: Broker, make_consumer: MakeConsumer, how: str
    ) -> None:
        await publish_many(broker, 3)
        consumer = make_consumer(limits=TWO, lease=0.1 if how == "lost" else 30.0)
        first, second = (await consumer.claim(10)).deliveries
        await broker.heartbeat([second.lease], 30.0)
        if how == "released":
            await broker.release(first.lease)
        elif how == "requeued":
            await broker.finish([Requeue(first.lease, delay=30.0)])
        elif how == "cancelled":
            await broker.cancel(QUEUE, first.lease.id, 60.0)
        else:
            await lose(broker, first)
        assert len(await claim_ids(make_consumer(limits=TWO), 10)) == 1
        assert await claim_ids(make_consumer(limits=TWO), 10) == []

    async def test_others_of_the_queue_are_not_held_up(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        await publish_many(broker, 3, task_name="mail:other", lane=lane)
        free = await publish_many(broker, 3)
        consumer = make_consumer(QUEUE, lane, limits={lane: Limit(running=1)})
        assert set(free) < set(await claim_ids(consumer, 10))
        assert await claim_ids(consumer, 10) == []

    async def test_together_with_a_rate_both_hold(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 9)
        consumer = make_consumer(limits={QUEUE: Limit(Rate(30, 1.0), running=2)})  # 3 at once
        claim = await consumer.claim(10)
        assert len(claim.deliveries) == 2
        await broker.finish([Requeue(delivery.lease) for delivery in claim.deliveries])
        assert len(await claim_ids(consumer, 10)) == 1

    async def test_one_that_waits_is_woken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3)
        one, other = make_consumer(limits=TWO), make_consumer(limits=TWO)
        first, _ = (await one.claim(2)).deliveries
        assert await claim_ids(other, 1) == []
        while await other.wait(0.01):  # what is there to begin with
            await other.claim(1)
        waiting = await started(other.wait(5.0))
        await broker.release(first.lease)
        await one.freed(QUEUE)
        assert await waiting
        assert len(await claim_ids(other, 1)) == 1


class TestWorker:
    async def test_so_many_run_and_all_are_done(self, make_broker: MakeBroker) -> None:
        running, most = 0, 0
        workers = [Worker("shop", broker=make_broker(), concurrency=10) for _ in range(2)]

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
            states = await asyncio.gather(*(handle.wait(20) for handle in handles))
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
            assert await (await quick.send()).result(5) == 1
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
                assert (await handle.wait(5)).status is Status.COMPLETED
        assert [number for number, _ in order] == [0, 1, 2, 0]

    async def test_what_was_sent_under_a_limit_is_served_without_it(
        self, make_broker: MakeBroker
    ) -> None:
        old, new = (Worker("shop", broker=make_broker()) for _ in range(2))

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
