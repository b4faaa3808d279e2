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


class TestNamespaces:
    """Priorities are strict within a namespace, and namespaces take turns."""

    async def test_each_goes_first_in_turn(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish_many(broker, 3, queue="a:low", priority=Priority.LOW)
        high = await publish_many(broker, 3, queue="b:high", priority=Priority.HIGH)
        consumer = make_consumer("a:low", "b:high")
        claimed = [task_id for _ in range(6) for task_id in await claim_ids(consumer, 1)]
        assert claimed == [low[0], high[0], low[1], high[1], low[2], high[2]]

    async def test_a_turn_is_a_claim_however_much_it_gives(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        spaces = [f"space{number}" for number in range(3)]
        ids = {
            name: await publish_many(broker, 6, queue=f"{name}:t", priority=level)
            for name, level in zip(spaces, reversed(Priority), strict=True)
        }
        consumer = make_consumer(*(f"{name}:t" for name in spaces))
        for name in (*spaces, *spaces):
            claimed = await claim_ids(consumer, 3)
            assert claimed == ids[name][:3]
            del ids[name][:3]

    async def test_one_claim_gives_them_one_after_the_other(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer("a:one", "b:one", "a:two", "b:two")
        for turn in ("ab", "ba", "ab"):
            expected = []
            for name in turn:
                low = await publish(broker, queue=f"{name}:one", priority=Priority.LOW)
                high = await publish(broker, queue=f"{name}:two", priority=Priority.HIGH)
                expected += [high.id, low.id]
            assert await claim_ids(consumer, 10) == expected

    async def test_within_one_they_are_strict(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish_many(broker, 2, queue="a:low", priority=Priority.LOW)
        other = await publish_many(broker, 2, queue="b:any", priority=Priority.LOW)
        consumer = make_consumer("a:low", "a:high", "b:any")
        assert await claim_ids(consumer, 1) == low[:1]
        high = await publish(broker, queue="a:high", priority=Priority.HIGH)
        assert await claim_ids(consumer, 1) == other[:1]
        assert await claim_ids(consumer, 2) == [high.id, low[1]]

    async def test_a_consumer_of_none_claims_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = broker.consumer([])
        for _ in range(2):
            claim = await consumer.claim(1)
            assert (claim.deliveries, claim.due_in) == ([], None)
        await consumer.aclose()

    async def test_an_empty_one_holds_up_no_other(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 4, queue="b:send")
        consumer = make_consumer("a:send", "b:send", "c:send")
        assert [task for _ in range(4) for task in await claim_ids(consumer, 1)] == ids


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

    async def test_each_of_many_lanes_has_its_turn_before_any_has_another(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        queues = [f"mail:q{number}" for number in range(20)]
        for queue in queues:
            await publish_many(broker, 30, queue=queue)
        consumer = make_consumer(*queues)
        served: set[str] = set()
        while len(served) < len(queues):
            claim = await consumer.claim(25)
            assert len(claim.deliveries) == 25
            given = {delivery.lease.queue for delivery in claim.deliveries}
            assert given.isdisjoint(served) or given | served == set(queues)
            served |= given

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
