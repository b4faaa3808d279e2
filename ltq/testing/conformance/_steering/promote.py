"""Promotion: delayed tasks are pending now."""

import pytest

from ltq.broker import Broker
from ltq.message import Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer


class TestPromote:
    async def test_a_delayed_task_is_pending_now(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=30.0)
        assert await broker.promote(QUEUE, [envelope.id]) == 1
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.due_time, state.requeue_count) == (Status.PENDING, None, 0)
        assert state.last_requeue_time == pytest.approx(await broker.time(), abs=1.0)
        claim = await make_consumer().claim(10)
        assert [one.lease.id for one in claim.deliveries] == [envelope.id]
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working) == (0, 0, 1)

    async def test_so_is_a_retry_and_it_counts_as_put_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = make_consumer()
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Requeue(lease, delay=30.0, failed=True)])
        assert await broker.promote(QUEUE, [lease.id]) == 1
        state = await broker.state(QUEUE, lease.id)
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)
        assert (await claim_one(broker, consumer)).tries == 1

    async def test_a_consumer_that_waits_is_woken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=30.0)
        waiting = await started(broker, claim_one(broker, make_consumer()))
        assert await broker.promote(QUEUE, [envelope.id]) == 1
        assert (await waiting).lease.id == envelope.id

    async def test_they_go_behind_the_others_in_the_order_of_the_ids(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        later = await publish_many(broker, 3, delay=30.0)
        (ready,) = await publish_many(broker, 1)
        low = await publish(broker, delay=30.0, priority=Priority.LOW)
        lane = f"{QUEUE}/mail:other"
        laned = await publish(broker, delay=30.0, lane=lane, task_name="mail:other")
        assert await broker.promote(QUEUE, [low.id, laned.id, *later[::-1]]) == 5
        assert await claim_ids(make_consumer(lane), 10) == [laned.id]
        assert await claim_ids(make_consumer(), 10) == [ready, *later[::-1], low.id]

    async def test_each_counts_once(self, broker: Broker) -> None:
        (one, other) = await publish_many(broker, 2, delay=30.0)
        assert await broker.promote(QUEUE, [one, one]) == 1
        assert await broker.promote(QUEUE, [one, other]) == 1
        assert await broker.promote(QUEUE, [one, other]) == 0
        assert await broker.promote(QUEUE, []) == 0

    async def test_tasks_in_other_places_stay_as_they_are(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        working, ended, pending = await publish_many(broker, 3)
        deliveries = (await make_consumer().claim(2)).deliveries
        await broker.release(deliveries[1].lease)
        elsewhere = await publish(broker, queue="mail:other", delay=30.0)
        ids = [working, ended, pending, elsewhere.id, "nobody"]
        before = [await broker.find(task_id) for task_id in ids]
        assert await broker.promote(QUEUE, ids) == 0
        assert [await broker.find(task_id) for task_id in ids] == before

    async def test_what_stays_delayed_is_due_as_before(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sooner = await publish(broker, delay=10.0)
        later = await publish(broker, delay=30.0)
        assert await broker.promote(QUEUE, [sooner.id]) == 1
        assert (await broker.state(QUEUE, later.id)).status is Status.DELAYED
        consumer = make_consumer()
        assert await claim_ids(consumer, 10) == [sooner.id]
        assert (await consumer.claim(1)).due_in == pytest.approx(15.0, abs=15.0)

    async def test_one_that_is_due_already_waits_since_then(self, broker: Broker) -> None:
        envelope = await publish(broker, delay=0.02)
        due = (await broker.state(QUEUE, envelope.id)).due_time
        assert due is not None

        async def is_over() -> bool:
            return await broker.time() > due + 0.05

        await eventually(is_over)
        assert await broker.promote(QUEUE, [envelope.id]) == 1
        state = await broker.state(QUEUE, envelope.id)
        assert state.last_requeue_time == pytest.approx(due, abs=0.001)

    async def test_very_many_are_promoted(self, broker: Broker) -> None:
        ids = await publish_many(broker, 1200, delay=30.0)
        assert await broker.promote(QUEUE, ids) == 1200
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed) == (1200, 0)

    async def test_in_a_paused_queue_they_wait(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=30.0)
        await broker.pause(QUEUE)
        assert await broker.promote(QUEUE, [envelope.id]) == 1
        consumer = make_consumer()
        assert await claim_ids(consumer, 1) == []
        await broker.resume(QUEUE)
        assert await claim_ids(consumer, 1) == [envelope.id]
