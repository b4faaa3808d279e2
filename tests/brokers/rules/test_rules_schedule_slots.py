"""Each slot of a schedule is fired once."""

from typing import Any

from ltq.broker.schedule_slots import SLOT_AHEAD, ScheduleSlot, SlotReceipt
from ltq.brokers._rules.constants import SLOT_OWNED, SLOT_TTL
from ltq.brokers._rules.schedule_slots import fire
from ltq.message import Envelope, Published
from tests.brokers.rules.stand import QUEUE, Stand


def slot(**fields: Any) -> ScheduleSlot:
    """The slot at 1060 of a schedule that fires each minute, after the one at 1000."""
    defaults = {"schedule": "s", "queue": QUEUE, "spec": "* * * * *"}
    return ScheduleSlot(**{**defaults, "after": 1000, "slot": 1060, "due": 1120, **fields})


def envelope(**fields: Any) -> Envelope:
    return Envelope(id="a", queue=QUEUE, task_name=QUEUE, body=b"", **fields)


class TestBegin:
    def test_a_schedule_without_a_past_begins_now(self, stand: Stand) -> None:
        stand.now = 1000.5
        assert fire(stand.places, slot(after=None), stand.now) == SlotReceipt(1000)

    def test_one_with_a_past_goes_on(self, stand: Stand) -> None:
        fire(stand.places, slot(), stand.now)
        assert fire(stand.places, slot(after=None), stand.now) == SlotReceipt(1060)

    def test_it_is_forgotten_long_after_its_next_slot(self, stand: Stand) -> None:
        fire(stand.places, slot(), stand.now)
        stand.now = 1120.0 + SLOT_TTL
        assert fire(stand.places, slot(after=None), stand.now) == SlotReceipt(int(stand.now))

    def test_a_slot_far_in_the_future_counts_as_none(self, stand: Stand) -> None:
        fire(stand.places, slot(slot=1001 + SLOT_AHEAD, due=1001 + SLOT_AHEAD), stand.now)
        assert fire(stand.places, slot(after=None), stand.now) == SlotReceipt(1000)


class TestFire:
    def test_the_first_who_comes_enqueues_the_task(self, stand: Stand) -> None:
        one = slot(envelope=envelope())
        assert fire(stand.places, one, stand.now) == SlotReceipt(1060, Published.CREATED)
        assert fire(stand.places, one, stand.now) == SlotReceipt(1060)
        assert stand.claim_ids() == ["a"]

    def test_a_slot_may_pass_without_a_task(self, stand: Stand) -> None:
        assert fire(stand.places, slot(), stand.now) == SlotReceipt(1060)
        assert stand.claim_ids() == []

    def test_a_full_queue_leaves_the_slot_to_be_fired(self, stand: Stand) -> None:
        stand.publish("other")
        full = slot(envelope=envelope(max_pending=1))
        assert fire(stand.places, full, stand.now) == SlotReceipt(1000, Published.FULL)
        stand.claim()
        assert fire(stand.places, full, stand.now) == SlotReceipt(1060, Published.CREATED)

    def test_another_spec_waits_until_the_schedule_is_given_up(self, stand: Stand) -> None:
        fire(stand.places, slot(), stand.now)
        other = slot(spec="0 * * * *", after=1000, slot=3600, due=7200)
        stand.now = 1120.0 + SLOT_OWNED - 1
        assert fire(stand.places, other, stand.now) == SlotReceipt(1060, is_other=True)
        stand.now += 1.0
        assert fire(stand.places, other, stand.now) == SlotReceipt(3600)
