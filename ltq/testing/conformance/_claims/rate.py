"""Rate limits hold over all consumers, and before a task is claimed."""

import asyncio

import pytest

from ltq.broker import Broker
from ltq.message import Requeue
from ltq.options import Limit, Priority, Rate
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

SLOW = {QUEUE: Limit(Rate(1, 30.0))}
"""One start in half a minute."""

BURSTS = {QUEUE: Limit(Rate(30, 1.0))}
"""30 starts a second, 3 of them at once."""


class TestRateLimit:
    async def test_the_next_start_has_to_wait(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 3)
        consumer = make_consumer(limits=SLOW)
        assert await claim_ids(consumer, 10) == ids[:1]
        assert await claim_ids(consumer, 10) == []
        state = await broker.state(QUEUE, ids[1])
        assert (state.status, state.dequeue_count) == ("pending", 0)

    async def test_a_burst_may_start_at_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 6)
        assert await claim_ids(make_consumer(limits=BURSTS), 10) == ids[:3]

    async def test_starts_are_an_interval_apart(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 4)
        consumer = make_consumer(
            limits={QUEUE: Limit(Rate(10, 0.5))}
        )  # 2 at once, then one in 0.05 s
        while (await broker.stats([QUEUE]))[0].pending:
            await broker.claim(consumer, 10, timeout=1.0)
        states = await broker.states(QUEUE, ids)
        starts = [state.last_dequeue_time or 0.0 for state in states if state is not None]
        assert starts[1] - starts[0] < 0.04
        assert starts[2] - starts[0] > 0.049
        assert starts[3] - starts[0] > 0.099

    async def test_due_in_is_the_time_to_the_next_start(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 2)
        consumer = make_consumer(limits=SLOW)
        claim = await consumer.claim(10)
        await broker.release(claim.deliveries[0].lease)
        assert claim.deliveries[0].lease.id == ids[0]
        due_in = (await consumer.claim(10)).due_in
        assert due_in == pytest.approx(30.0, abs=1.0)

    async def test_an_empty_limited_lane_is_not_due(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = make_consumer(limits=SLOW)
        await broker.release((await claim_one(broker, consumer)).lease)
        assert (await consumer.claim(10)).due_in is None

    async def test_it_holds_over_all_consumers(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 9)
        consumers = [make_consumer(on=open_broker(), limits=SLOW) for _ in range(3)]
        claims = await asyncio.gather(*(claim_ids(consumer, 2) for consumer in consumers * 2))
        assert sum(map(len, claims)) == 1

    async def test_it_holds_over_all_priorities_of_a_lane(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        high = await publish(broker, priority=Priority.HIGH)
        assert await claim_ids(make_consumer(limits=SLOW), 10) == [high.id]

    async def test_a_task_that_comes_back_needs_a_start_again(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = make_consumer(limits=SLOW)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Requeue(delivery.lease)])
        assert await claim_ids(consumer, 10) == []

    async def test_other_lanes_are_not_held_up(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:slow"
        slow = await publish_many(broker, 3, lane=lane)
        others = await publish_many(broker, 3)
        low = await publish(broker, priority=Priority.LOW)
        consumer = make_consumer(QUEUE, lane, limits={lane: Limit(Rate(1, 30.0))})
        claimed = await claim_ids(consumer, 10)
        assert sorted(claimed) == sorted([slow[0], *others, low.id])

    async def test_a_lane_in_a_queue_without_a_namespace_is_limited_too(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = "shared/mail:slow"
        ids = await publish_many(broker, 2, queue="shared", lane=lane)
        assert (
            await claim_ids(make_consumer(lane, limits={lane: Limit(Rate(1, 30.0))}), 10) == ids[:1]
        )

    async def test_a_consumer_sleeps_until_the_next_start(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 2)
        consumer = make_consumer(limits={QUEUE: Limit(Rate(1, 0.1))})
        claimed = [(await claim_one(broker, consumer)).lease.id for _ in range(2)]
        assert claimed == ids
