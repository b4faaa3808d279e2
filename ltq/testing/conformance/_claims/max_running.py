"""Limits on how many tasks of a lane run at once, over all consumers."""

import asyncio

import pytest

from ltq.broker import Broker
from ltq.message import Requeue
from ltq.options import Limit, Rate
from ltq.testing.conformance._support.eventually import SOON
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, lose, publish_many, started
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

TWO = {QUEUE: Limit(running=2)}


class TestMaxRunning:
    async def test_no_more_are_given(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        ids = await publish_many(broker, 5)
        consumer = make_consumer(limits=TWO)
        assert await claim_ids(consumer, 10) == ids[:2]
        claim = await consumer.claim(10)
        assert claim.deliveries == []
        assert claim.start_in is not None
        assert (await broker.stats([QUEUE]))[0].pending == 3

    async def test_it_holds_over_all_consumers(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 5)
        consumers = [make_consumer(on=open_broker(), limits=TWO) for _ in range(3)]
        claims = await asyncio.gather(*(consumer.claim(10) for consumer in consumers))
        assert sum(len(claim.deliveries) for claim in claims) == 2

    @pytest.mark.parametrize("how", ["released", "requeued", "cancelled", "lost"])
    async def test_another_may_start_when_one_ends(
        self, broker: Broker, make_consumer: MakeConsumer, how: str
    ) -> None:
        await publish_many(broker, 3)
        consumer = make_consumer(limits=TWO, lease=0.05 if how == "lost" else 30.0)
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
        before = await broker.time()
        claim = await consumer.claim(10)
        assert len(claim.deliveries) == 2
        await broker.finish([Requeue(delivery.lease) for delivery in claim.deliveries])
        given = len(await claim_ids(consumer, 10))
        assert 1 <= given <= 1 + (await broker.time() - before) * 30

    async def test_one_that_waits_is_woken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3)
        one, other = make_consumer(limits=TWO), make_consumer(limits=TWO)
        first, _ = (await one.claim(2)).deliveries
        assert await claim_ids(other, 1) == []
        while await other.wait(0.01):  # wake-ups that are there already
            await other.claim(1)
        waiting = await started(broker, other.wait(SOON))
        await broker.release(first.lease)
        await one.freed(QUEUE)
        assert await waiting
        assert len(await claim_ids(other, 1)) == 1
