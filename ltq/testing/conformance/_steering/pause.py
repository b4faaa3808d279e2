"""Paused queues: nothing of them is claimed, and everything else goes on."""

import asyncio

import pytest

from ltq.broker import Broker
from ltq.message import Published, Receipt
from ltq.options import Limit, Priority, Rate
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    make_envelope,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

LANE = f"{QUEUE}/mail:other"


async def is_paused(broker: Broker, queue: str = QUEUE) -> bool:
    (stats,) = await broker.stats([queue])
    return stats.paused


class TestPause:
    async def test_nothing_of_it_is_claimed_from_then_on(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3)
        consumers = [make_consumer(), make_consumer(on=open_broker())]
        await broker.pause(QUEUE)
        for consumer in consumers:
            claim = await consumer.claim(10)
            assert (claim.deliveries, claim.due_in, claim.start_in) == ([], None, None)
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.working) == (3, 0)

    async def test_its_stats_say_so(self, broker: Broker, open_broker: OpenBroker) -> None:
        assert not await is_paused(broker)
        await broker.pause(QUEUE)
        assert await is_paused(open_broker())
        await broker.resume(QUEUE)
        assert not await is_paused(open_broker())

    async def test_all_lanes_and_priorities_are_held_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await broker.pause(QUEUE)
        for priority in Priority:
            await publish(broker, priority=priority)
            await publish(broker, priority=priority, lane=LANE, task_name="mail:other")
        consumers = [
            make_consumer(QUEUE, LANE),
            make_consumer(LANE),
            make_consumer(QUEUE, knows=["mail:other", QUEUE]),
            make_consumer(QUEUE, LANE, limits={LANE: Limit(running=5)}),
        ]
        assert [await claim_ids(consumer, 10) for consumer in consumers] == [[]] * 4
        await broker.resume(QUEUE)
        assert len(await claim_ids(consumers[0], 10)) == 6

    async def test_other_queues_go_on(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await broker.pause(QUEUE)
        others = [f"{QUEUE}er", "mail:sen", "mail:other", "mail", "shared"]
        sent = [(await publish(broker, queue=queue)).id for queue in [QUEUE, *others]]
        assert await claim_ids(make_consumer(QUEUE, *others[:3]), 10) == sent[1:4]
        assert await claim_ids(make_consumer(*others[3:]), 10) in (sent[4:], sent[:3:-1])

    async def test_a_strict_priority_of_it_holds_up_no_other_queue(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, priority=Priority.HIGH)
        low = await publish(broker, queue="mail:other", priority=Priority.LOW)
        await broker.pause(QUEUE)
        assert await claim_ids(make_consumer(QUEUE, "mail:other"), 1) == [low.id]

    async def test_tasks_are_accepted_as_before(self, broker: Broker) -> None:
        await broker.pause(QUEUE)
        envelope = make_envelope(max_pending=1)
        assert await broker.publish([envelope]) == [Published.CREATED]
        assert await broker.publish([envelope]) == [Published.EXISTS]
        assert await broker.publish([make_envelope(max_pending=1)]) == [Published.FULL]

    async def test_what_runs_ends(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish_many(broker, 2)
        consumer = make_consumer()
        done, again = (await consumer.claim(2)).deliveries
        await broker.pause(QUEUE)
        assert await broker.heartbeat([done.lease, again.lease], 15.0) == []
        assert await broker.release(done.lease) is Receipt.OK
        assert (await broker.state(QUEUE, done.lease.id)).status is Status.COMPLETED
        assert await broker.requeue(again.lease) is Receipt.OK
        assert await claim_ids(consumer, 10) == []
        await broker.resume(QUEUE)
        assert await claim_ids(consumer, 10) == [again.lease.id]

    async def test_what_is_due_or_recovered_waits(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        consumer = make_consumer(lease=0.05)
        lost = await claim_one(broker, consumer)
        await broker.pause(QUEUE)
        delayed = await publish(broker, delay=0.02)
        await lose(broker, lost)

        async def both_wait() -> bool:
            claim = await consumer.claim(10)
            assert claim.deliveries == []
            states = await broker.states(QUEUE, [lost.lease.id, delayed.id])
            return all(state and state.status is Status.PENDING for state in states)

        await eventually(both_wait)
        assert (await consumer.claim(10)).due_in is None
        await broker.resume(QUEUE)
        assert sorted(await claim_ids(consumer, 10)) == sorted([lost.lease.id, delayed.id])

    async def test_what_waits_is_cancelled_and_cleared(self, broker: Broker) -> None:
        await broker.pause(QUEUE)
        envelope = await publish(broker)
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
        await publish_many(broker, 2)
        assert await broker.clear(QUEUE) == 2
        assert await is_paused(broker)

    async def test_it_may_be_done_any_number_of_times(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        for _ in range(3):
            await broker.pause(QUEUE)
        assert await claim_ids(make_consumer(), 1) == []
        await broker.resume(QUEUE)
        assert await claim_ids(make_consumer(), 1) == [envelope.id]

    async def test_a_queue_without_tasks_is_known_from_then_on(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await broker.pause(QUEUE)
        assert await broker.queues() == [QUEUE]
        await publish(broker)
        assert await claim_ids(make_consumer(), 1) == []

    async def test_its_limits_hold_up_nobody(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3)
        limits = {QUEUE: Limit(rate=Rate(1, 30.0))}
        consumer = make_consumer(limits=limits)
        assert len(await claim_ids(consumer, 3)) == 1
        await broker.pause(QUEUE)
        claim = await consumer.claim(3)
        assert (claim.deliveries, claim.start_in) == ([], None)

    async def test_a_full_consumer_leaves_its_wake_ups_alone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await broker.pause(QUEUE)
        await publish(broker)
        claim = await make_consumer().claim(0)
        assert (claim.deliveries, claim.due_in) == ([], None)


class TestResume:
    async def test_a_consumer_that_waits_is_woken(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        await broker.pause(QUEUE)
        envelope = await publish(broker)
        consumer = make_consumer(on=open_broker())
        waiting = await started(broker, claim_one(broker, consumer))
        await broker.resume(QUEUE)
        assert (await waiting).lease.id == envelope.id

    @pytest.mark.parametrize("knows", [None, ["mail:other"]])
    async def test_so_is_one_of_another_lane(
        self, broker: Broker, make_consumer: MakeConsumer, knows: list[str] | None
    ) -> None:
        await broker.pause(QUEUE)
        envelope = await publish(broker, lane=LANE, task_name="mail:other")
        consumer = make_consumer(QUEUE if knows else LANE, knows=knows)
        waiting = await started(broker, claim_one(broker, consumer))
        await broker.resume(QUEUE)
        assert (await waiting).lease.id == envelope.id

    async def test_all_consumers_get_their_part(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        await broker.pause(QUEUE)
        ids = await publish_many(broker, 4)
        consumers = [make_consumer(on=open_broker()) for _ in ids]
        waiting = [await started(broker, claim_one(broker, one)) for one in consumers]
        await broker.resume(QUEUE)
        deliveries = await asyncio.gather(*waiting)
        assert sorted(one.lease.id for one in deliveries) == sorted(ids)

    async def test_what_waits_keeps_its_order(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        first = await publish_many(broker, 2)
        await broker.pause(QUEUE)
        second = await publish_many(broker, 2)
        high = await publish(broker, priority=Priority.HIGH)
        await broker.resume(QUEUE)
        assert await claim_ids(make_consumer(), 10) == [high.id, *first, *second]

    async def test_nothing_happens_to_a_queue_that_is_not_paused(self, broker: Broker) -> None:
        await broker.resume(QUEUE)
        assert await broker.queues() == []
        await broker.pause(QUEUE)
        await broker.resume("mail:other")
        assert await is_paused(broker)
