"""Slots of schedules: each is fired once, by the first scheduler that asks."""

import asyncio
import time
from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker import Broker
from ltq.broker.schedule_slots import SLOT_HANDOVER, ScheduleSlot, SlotReceipt
from ltq.message import Published
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.factories import QUEUE, claim_one, make_envelope
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


def make_slot(**fields: Any) -> ScheduleSlot:
    """One slot of the schedule `daily`."""
    due = int(time.time()) + 60
    return ScheduleSlot(**{"schedule": "daily", "queue": QUEUE, "spec": "a", "due": due, **fields})


async def declare(broker: Broker, scheduler: str, spec: str, **fields: Any) -> ScheduleSlot:
    """Let a scheduler declare the schedule. Returns what its calls have in common."""
    slot = make_slot(scheduler=scheduler, spec=spec, **fields)
    receipt = await broker.fire(slot)
    return replace(slot, after=receipt.last, since=receipt.since)


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

    async def test_calls_take_effect_in_their_order(self, broker: Broker) -> None:
        after = await begin(broker)
        slots = [
            make_slot(after=one - 1, slot=one, envelope=make_envelope())
            for one in range(after + 1, after + 31)
        ]
        receipts = await asyncio.gather(*map(broker.fire, slots))
        assert receipts == [SlotReceipt(slot.slot, Published.CREATED) for slot in slots]

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


class TestDeclaredTwice:
    async def test_the_spec_that_was_declared_last_holds(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        new = await declare(broker, "new", "b")
        assert new.since > old.since
        assert old.after is not None
        assert new.after is not None
        late = replace(old, slot=old.after + 1, envelope=make_envelope())
        assert await broker.fire(late) == SlotReceipt(new.after, is_other=True)
        fired = replace(new, slot=new.after + 1, envelope=make_envelope())
        assert (await broker.fire(fired)).published is Published.CREATED
        again = await declare(broker, "older", "a")
        assert again.after == new.after + 1
        assert (await broker.fire(replace(fired, after=new.after + 1))).is_other

    async def test_one_that_ends_leaves_it_at_once(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        new = await declare(broker, "new", "b")
        await broker.fire(replace(new, leaves=True))
        assert old.after is not None
        slot = replace(old, slot=old.after + 60, envelope=make_envelope())
        receipt = await broker.fire(slot)
        assert receipt.taken_over
        assert receipt.published is None
        assert receipt.last == pytest.approx(old.after, abs=5)
        receipt = await broker.fire(replace(slot, after=receipt.last))
        assert receipt == SlotReceipt(slot.slot, Published.CREATED)

    async def test_not_while_another_one_with_its_spec_is_there(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        new, twin = await declare(broker, "new", "b"), await declare(broker, "twin", "b")
        await broker.fire(replace(new, leaves=True))
        assert (await broker.fire(replace(old, slot=(old.after or 0) + 60))).is_other
        await broker.fire(replace(twin, leaves=True))
        assert (await broker.fire(replace(old, slot=(old.after or 0) + 60))).taken_over

    async def test_any_schedule_says_that_a_scheduler_is_there(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        new = await declare(broker, "new", "b")
        await broker.fire(replace(new, leaves=True))
        await declare(broker, "new", "b", schedule="nightly")
        assert (await broker.fire(replace(old, slot=(old.after or 0) + 60))).is_other

    async def test_a_newer_one_that_was_away_takes_it_back(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        new = await declare(broker, "new", "b")
        assert old.after is not None
        await broker.fire(replace(new, leaves=True))
        receipt = await broker.fire(replace(old, slot=old.after + 60))
        assert receipt.taken_over
        await broker.fire(replace(old, after=receipt.last, slot=old.after + 60))
        receipt = await broker.fire(replace(new, slot=old.after + 60, envelope=make_envelope()))
        assert receipt == SlotReceipt(old.after + 60, taken_over=True)  # this slot was fired

    async def test_what_the_former_one_left_undone_is_not_lost(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        assert old.after is not None
        await broker.fire(replace(old, slot=old.after - 120, due=old.after - 3))
        new = await declare(broker, "new", "b")
        assert new.after == old.after - 4

    async def test_but_not_for_longer_than_a_minute(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        assert old.after is not None
        await broker.fire(replace(old, slot=old.after - 7200, due=old.after - 3600))
        new = await declare(broker, "new", "b")
        assert new.after == pytest.approx(old.after - SLOT_HANDOVER, abs=3)

    async def test_one_that_reads_again_declares_nothing(self, broker: Broker) -> None:
        old = await declare(broker, "old", "a")
        await declare(broker, "new", "b")
        assert (await broker.fire(replace(old, after=None))).is_other
