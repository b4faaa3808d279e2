"""Slots of schedules: each is fired once, by the first scheduler that asks."""

import asyncio
import time
from typing import Any

import pytest

from ltq.broker import Broker
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.message import Published
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.factories import QUEUE, claim_one, make_envelope
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


def make_slot(**fields: Any) -> ScheduleSlot:
    """One slot of the schedule `daily`."""
    due = int(time.time()) + 60
    return ScheduleSlot(**{"schedule": "daily", "queue": QUEUE, "spec": "a", "due": due, **fields})


async def begin(broker: Broker, **fields: Any) -> int:
    """Let the schedule begin or go on. Returns its last slot."""
    return (await broker.fire(make_slot(**fields))).last


class TestBrokerTime:
    async def test_it_is_the_brokers(self, broker: Broker) -> None:
        assert await broker.time() == pytest.approx(time.time(), abs=5.0)


class TestFire:
    async def test_a_schedule_begins_now_and_goes_on_where_it_was(self, broker: Broker) -> None:
        first = await begin(broker)
        assert first == pytest.approx(await broker.time(), abs=2.0)
        assert await broker.fire(make_slot(after=first, slot=first - 5)) == SlotReceipt(first - 5)
        assert await begin(broker) == first - 5
        assert await broker.queues() == []

    async def test_a_slot_is_enqueued_once(self, broker: Broker) -> None:
        after = await begin(broker)
        envelope = make_envelope(result_ttl=0.0)
        slot = make_slot(after=after, slot=after + 1, envelope=envelope)
        assert await broker.fire(slot) == SlotReceipt(after + 1, Published.CREATED)
        assert await broker.fire(slot) == SlotReceipt(after + 1)
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING
        assert await broker.queues() == [QUEUE]

    async def test_also_when_its_state_is_gone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        after = await begin(broker)
        slot = make_slot(after=after, slot=after + 1, envelope=make_envelope())
        await broker.fire(slot)
        delivery = await claim_one(broker, make_consumer())
        await broker.release(delivery.lease, result_ttl=0.0)
        assert await broker.find(delivery.lease.id) is None
        assert (await broker.fire(slot)).published is None

    async def test_of_many_at_once_one_fires(self, open_broker: OpenBroker) -> None:
        brokers = [open_broker() for _ in range(4)]
        after = await begin(brokers[0])
        for time_of_slot in range(after + 1, after + 6):
            envelope = make_envelope()
            slot = make_slot(after=time_of_slot - 1, slot=time_of_slot, envelope=envelope)
            receipts = await asyncio.gather(*(broker.fire(slot) for broker in brokers))
            assert [one.published for one in receipts].count(Published.CREATED) == 1
            assert {one.last for one in receipts} == {time_of_slot}

    async def test_it_wakes_a_consumer(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        after = await begin(broker)
        waiting = asyncio.create_task(claim_one(broker, make_consumer()))
        envelope = make_envelope(priority=Priority.HIGH, max_tries=3)
        await broker.fire(make_slot(after=after, slot=after + 1, envelope=envelope))
        delivery = await waiting
        assert (delivery.lease.id, delivery.max_tries) == (envelope.id, 3)

    async def test_a_task_that_is_there_counts_as_fired(self, broker: Broker) -> None:
        after, envelope = await begin(broker), make_envelope()
        await broker.publish([envelope])
        slot = make_slot(after=after, slot=after + 1, envelope=envelope)
        assert await broker.fire(slot) == SlotReceipt(after + 1, Published.EXISTS)

    async def test_without_room_the_slot_is_not_kept(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.publish([make_envelope()])
        slot = make_slot(after=after, slot=after + 1, envelope=make_envelope(max_pending=1))
        assert await broker.fire(slot) == SlotReceipt(after, Published.FULL)
        assert await begin(broker) == after
        await broker.clear(QUEUE)
        assert await broker.fire(slot) == SlotReceipt(after + 1, Published.CREATED)

    async def test_with_another_spec_it_begins_anew(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.fire(make_slot(after=after, slot=after - 3600))
        assert await begin(broker, spec="b") >= after

    async def test_who_declares_it_otherwise_waits_until_nobody_else_does(
        self, broker: Broker
    ) -> None:
        now = int(await broker.time())
        await begin(broker, spec="b", due=now - 30)
        slot = make_slot(after=now - 60, slot=now, envelope=make_envelope())
        receipt = await broker.fire(slot)
        assert (receipt.is_other, receipt.published) == (True, None)
        await broker.fire(make_slot(spec="b", after=receipt.last, slot=now - 120, due=now - 61))
        assert await broker.fire(slot) == SlotReceipt(now, Published.CREATED)

    async def test_what_is_kept_by_a_clock_far_ahead_counts_for_nothing(
        self, broker: Broker
    ) -> None:
        after = await begin(broker)
        await broker.fire(make_slot(after=after, slot=after + 3 * 86400))
        assert await begin(broker) == pytest.approx(after, abs=5)

    async def test_what_is_not_kept_any_more_is_believed(self, broker: Broker) -> None:
        slot = make_slot(after=1000, slot=2000, envelope=make_envelope())
        assert await broker.fire(slot) == SlotReceipt(2000, Published.CREATED)

    async def test_it_is_forgotten_a_month_after_it_was_due(self, broker: Broker) -> None:
        after = await begin(broker)
        past = after - 31 * 86400
        await broker.fire(make_slot(after=after, slot=past, due=past + 60))
        assert await begin(broker) >= after

    async def test_namespaces_are_apart(self, broker: Broker) -> None:
        after = await begin(broker)
        await broker.fire(make_slot(after=after, slot=after - 60))
        assert await begin(broker, queue="shop:pay") >= after
