"""The order of claims: priority, then turns of lanes, then age."""

from ltq.broker import Broker
from ltq.message import Requeue
from ltq.options import Priority
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer


class TestPriority:
    async def test_a_higher_priority_goes_first_however_late_it_comes(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish_many(broker, 2, priority=Priority.LOW)
        normal = await publish_many(broker, 2)
        high = await publish_many(broker, 2, priority=Priority.HIGH)
        assert await claim_ids(make_consumer(), 10) == high + normal + low

    async def test_it_holds_from_claim_to_claim(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        normal = await publish_many(broker, 2)
        assert await claim_ids(consumer, 1) == normal[:1]
        high = await publish(broker, priority=Priority.HIGH)
        assert await claim_ids(consumer, 1) == [high.id]
        assert await claim_ids(consumer, 1) == normal[1:]

    async def test_it_holds_over_all_queues_of_a_consumer(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish(broker, queue="mail:a", priority=Priority.LOW)
        normal = await publish(broker, queue="mail:b")
        high = await publish(broker, queue="mail:c", priority=Priority.HIGH)
        consumer = make_consumer("mail:a", "mail:b", "mail:c")
        assert await claim_ids(consumer, 10) == [high.id, normal.id, low.id]

    async def test_a_task_that_comes_back_keeps_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        high = await publish(broker, priority=Priority.HIGH)
        delivery = await claim_one(broker, consumer)
        normal = await publish(broker)
        await broker.requeue(delivery.lease)
        assert await claim_ids(consumer, 10) == [high.id, normal.id]

    async def test_a_task_that_becomes_due_keeps_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        normal = await publish(broker)
        high = await publish(broker, priority=Priority.HIGH, delay=0.05)

        async def promoted() -> int:
            return (await broker.sweep([QUEUE])).promoted

        await eventually(promoted)
        assert await claim_ids(make_consumer(), 10) == [high.id, normal.id]


class TestTurns:
    async def test_lanes_of_one_level_take_turns(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        long = set(await publish_many(broker, 6, queue="mail:long"))
        short = set(await publish_many(broker, 2, queue="mail:short"))
        consumer = make_consumer("mail:long", "mail:short")
        claimed = [task_id for _ in range(4) for task_id in await claim_ids(consumer, 1)]
        assert len(long & set(claimed)) == len(short & set(claimed)) == 2

    async def test_no_lane_starves_behind_a_longer_one(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 20, queue="mail:long")
        consumer = make_consumer("mail:long", "mail:short")
        await claim_ids(consumer, 5)
        short = await publish(broker, queue="mail:short")
        claimed = await claim_ids(consumer, 5) + await claim_ids(consumer, 5)
        assert short.id in claimed

    async def test_all_that_is_asked_for_comes_from_one_lane_if_the_others_are_empty(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 6, queue="mail:long")
        short = await publish(broker, queue="mail:short")
        claimed = await claim_ids(make_consumer("mail:long", "mail:short"), 10)
        assert sorted(claimed) == sorted([*ids, short.id])
        assert [task_id for task_id in claimed if task_id != short.id] == ids


class TestComingBack:
    async def test_a_task_comes_back_behind_the_others(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        first, *others = await publish_many(broker, 3)
        await broker.requeue((await claim_one(broker, consumer)).lease)
        assert await claim_ids(consumer, 10) == [*others, first]

    async def test_a_task_may_come_back_before_the_others(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        ids = await publish_many(broker, 3)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Requeue(delivery.lease, front=True)])
        assert await claim_ids(consumer, 10) == ids

    async def test_front_holds_within_a_priority_only(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        low = await publish(broker, priority=Priority.LOW)
        delivery = await claim_one(broker, consumer)
        normal = await publish(broker)
        await broker.finish([Requeue(delivery.lease, front=True)])
        assert await claim_ids(consumer, 10) == [normal.id, low.id]
