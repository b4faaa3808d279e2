"""Claiming and waiting for something to claim."""

import asyncio

from ltq.broker import Broker, Consumer
from ltq.message import Delivery, Receipt
from ltq.state import Status
from ltq.testing.conformance._support.eventually import SOON, eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker
from ltq.testing.conformance._support.periods import period

_TURNS = 12
"""Turns of an event loop after which a call over a network has come to its last step."""


class TestClaim:
    async def test_a_claimed_task_is_working(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        async with period(broker) as claimed:
            delivery = await claim_one(broker, make_consumer(name="worker-1"))
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.worker) == (Status.WORKING, "worker-1")
        assert state.dequeue_count == delivery.dequeue_count == 1
        assert state.last_dequeue_time in claimed

    async def test_first_in_is_first_out(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        ids = await publish_many(broker, 5) + await publish_many(broker, 5)
        consumer = make_consumer()
        assert await claim_ids(consumer, 4) + await claim_ids(consumer, 100) == ids

    async def test_nothing_is_claimed_twice(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 40)
        consumers = [make_consumer(), make_consumer(on=open_broker()), make_consumer()]
        claims = await asyncio.gather(*(claim_ids(consumers[i % 3], 5) for i in range(12)))
        claimed = [task_id for claim in claims for task_id in claim]
        assert sorted(claimed) == sorted(ids)

    async def test_an_empty_queue_gives_nothing(self, make_consumer: MakeConsumer) -> None:
        claim = await make_consumer().claim(10)
        assert claim.deliveries == []
        assert claim.due_in is None

    async def test_only_the_queues_asked_for_are_served(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, queue="mail:other")
        await publish(broker, lane=f"{QUEUE}/mail:send")
        wanted = await publish(broker)
        assert await claim_ids(make_consumer(), 10) == [wanted.id]

    async def test_a_lane_is_served_by_its_name(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        envelope = await publish(broker, task_name="mail:other", lane=lane)
        delivery = await claim_one(broker, make_consumer(lane))
        assert (delivery.lease.id, delivery.lease.queue) == (envelope.id, QUEUE)

    async def test_a_lane_is_in_the_namespace_of_its_queue(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = "shared/mail:send"  # more than the namespace precedes its first colon
        envelope = await publish(broker, queue="shared", task_name="mail:send", lane=lane)
        assert await claim_ids(make_consumer(lane), 1) == [envelope.id]

    async def test_queues_of_several_namespaces_are_served_together(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = {(await publish(broker, queue=queue)).id for queue in ("a:x", "b:x", "b:y")}
        assert set(await claim_ids(make_consumer("a:x", "b:x", "b:y"), 10)) == sent

    async def test_the_limit_holds_over_all_namespaces(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        for queue in ("a:x", "b:x"):
            await publish_many(broker, 3, queue=queue)
        consumer = make_consumer("a:x", "b:x")
        counts = [len(await claim_ids(consumer, 4)) for _ in range(3)]
        assert counts == [4, 2, 0]

    async def test_a_name_is_made_where_none_is_given(self, make_consumer: MakeConsumer) -> None:
        names = {make_consumer().name, make_consumer().name}
        assert len(names) == 2
        assert all(names)


class TestClaimOfNothing:
    async def test_it_leases_nothing(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        envelope = await publish(broker)
        assert (await make_consumer().claim(0)).deliveries == []
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING

    async def test_it_moves_what_is_due(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        envelope = await publish(broker, delay=0.05)
        consumer = make_consumer()

        async def pending() -> bool:
            await consumer.claim(0)
            return (await broker.state(QUEUE, envelope.id)).status is Status.PENDING

        await eventually(pending)

    async def test_it_passes_a_wake_up_on(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        full, free = make_consumer(), make_consumer()
        await publish(broker)
        assert await full.wait(1.0)
        assert (await full.claim(0)).deliveries == []
        await claim_one(broker, free)


class TestWaitForWork:
    async def test_it_ends_when_a_task_comes(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer(on=open_broker())
        waiting = await started(broker, consumer.wait(SOON))
        await publish(broker)
        assert await asyncio.wait_for(waiting, SOON)

    async def test_it_ends_at_once_when_a_task_is_there(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        assert await make_consumer().wait(SOON)

    async def test_it_ends_when_the_time_is_over(self, make_consumer: MakeConsumer) -> None:
        assert not await make_consumer().wait(0.02)

    async def test_it_ends_when_a_task_comes_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        busy, idle = make_consumer(), make_consumer()
        await publish(broker)
        delivery = await claim_one(broker, busy)
        waiting = await started(broker, claim_one(broker, idle))
        await broker.requeue(delivery.lease)
        assert (await waiting).lease.id == delivery.lease.id

    async def test_a_cancelled_wait_loses_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        waiting = await started(broker, consumer.wait(SOON))
        waiting.cancel()
        await asyncio.wait([waiting])
        envelope = await publish(broker)
        assert (await claim_one(broker, consumer)).lease.id == envelope.id

    async def test_a_consumer_that_gave_up_keeps_no_wake_up_from_another(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        gone, there = make_consumer(), make_consumer()
        assert not await gone.wait(0.02)
        waiting = await started(broker, claim_one(broker, there))
        envelope = await publish(broker)
        assert (await waiting).lease.id == envelope.id

    async def test_a_closed_consumer_keeps_no_wake_up_from_another(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        gone, there = make_consumer(), make_consumer()
        assert not await gone.wait(0.02)
        await gone.aclose()
        await publish(broker)
        await claim_one(broker, there)

    async def test_tasks_of_one_call_wake_several_consumers(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        waiting = [await started(broker, claim_one(broker, make_consumer())) for _ in range(3)]
        ids = await publish_many(broker, 3)
        claimed = [delivery.lease.id for delivery in await asyncio.gather(*waiting)]
        assert sorted(claimed) == sorted(ids)

    async def test_several_queues_are_waited_for_together(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer("a:x", "b:x", "b:y")
        for queue in ("b:y", "a:x", "b:x"):
            waiting = await started(broker, claim_one(broker, consumer))
            await publish(broker, queue=queue)
            assert (await waiting).lease.queue == queue


class TestClaimWithTimeout:
    async def test_it_does_not_wait_without_a_timeout(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        assert await broker.claim(make_consumer(), 1) == []

    async def test_it_waits_no_longer_than_the_timeout(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        assert await broker.claim(make_consumer(), 1, timeout=0.05) == []

    async def test_it_waits_for_the_first_task(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        waiting = await started(broker, broker.claim(make_consumer(), 10, timeout=SOON))
        ids = await publish_many(broker, 2)
        assert [delivery.lease.id for delivery in await waiting] == ids


class TestClose:
    async def test_a_closed_consumer_leaves_its_leases(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = make_consumer()
        delivery = await claim_one(broker, consumer)
        await consumer.aclose()
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.WORKING
        assert await broker.release(delivery.lease) is Receipt.OK

    async def test_a_closed_broker_may_be_used_again(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        await broker.aclose()
        await claim_one(broker, make_consumer())

    async def test_a_broker_is_closed_by_its_block(self, open_broker: OpenBroker) -> None:
        async with open_broker() as broker, broker.consumer([QUEUE]) as consumer:
            await broker.ping()
            await publish(broker)
            await claim_one(broker, consumer)

    async def test_a_cancelled_claim_leaves_nothing_leased(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        """Wherever it is cancelled, its tasks wait again, in their order, and count no delivery."""
        for turns in range(_TURNS):
            ids = await publish_many(broker, 4)
            consumer = make_consumer()
            claiming = asyncio.ensure_future(consumer.claim(3))
            for _ in range(turns):
                await asyncio.sleep(0)
            claiming.cancel()
            await asyncio.wait([claiming])
            held = [] if claiming.cancelled() else claiming.result().deliveries
            await consumer.aclose()
            others = await self._claim_all(broker, make_consumer(), len(ids) - len(held))
            assert [delivery.lease.id for delivery in [*held, *others]] == ids
            assert {(one.deaths, one.dequeue_count) for one in others} == {(0, 1)}
            for delivery in (*held, *others):
                await broker.release(delivery.lease)

    async def test_a_close_that_is_cut_goes_on(self, open_broker: OpenBroker) -> None:
        for turns in range(_TURNS):
            broker = open_broker()
            await publish(broker)
            consumer = broker.consumer([QUEUE])
            waiting = asyncio.ensure_future(consumer.wait(None))
            feed = broker.feed(QUEUE, "unknown")
            for close in (consumer.aclose, broker.aclose):
                closing = asyncio.ensure_future(close())
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing.cancel()
                await asyncio.wait([closing])
                await close()
            feed.close()
            waiting.cancel()
            await asyncio.wait([waiting])
            await broker.ping()
            await broker.aclose()

    async def _claim_all(self, broker: Broker, consumer: Consumer, count: int) -> list[Delivery]:
        """Claim so many tasks, which may not be ready yet."""
        found: list[Delivery] = []

        async def have_come() -> bool:
            found.extend((await consumer.claim(count - len(found))).deliveries)
            return len(found) == count

        if count:
            await eventually(have_come)
        return found
