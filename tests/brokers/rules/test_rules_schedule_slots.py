"""Each slot of a schedule is fired once."""

from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker.schedule_slots import (
    SCHEDULER_SILENT,
    SLOT_AHEAD,
    ScheduleSlot,
    SlotReceipt,
)
from ltq.brokers._rules.constants import SCHEDULER_TTL, SLOT_TTL
from ltq.brokers._rules.schedule_slots import fire
from ltq.message import Envelope, Published
from tests.brokers.rules.stand import QUEUE, Stand


def slot(**fields: Any) -> ScheduleSlot:
    """The slot at 1060 of a schedule that fires each minute, after the one at 1000."""
    defaults = {"schedule": "s", "queue": QUEUE, "spec": "* * * * *"}
    return ScheduleSlot(**{**defaults, "after": 1000, "slot": 1060, "due": 1120, **fields})


def declare(stand: Stand, scheduler: str, spec: str, due: int = 1120) -> ScheduleSlot:
    """Let a scheduler declare the schedule. Returns its call for the slot that is next."""
    asked = slot(scheduler=scheduler, spec=spec, after=None, due=due)
    receipt = fire(stand.places, asked, stand.now)
    known = replace(asked, after=receipt.last, since=receipt.since)
    if receipt.taken_over:  # say when the next slot is due
        fire(stand.places, replace(known, slot=receipt.last), stand.now)
    return replace(known, slot=due)


def envelope(**fields: Any) -> Envelope:
    return Envelope(id="a", queue=QUEUE, task_name=QUEUE, body=b"", **fields)


class TestBegin:
    def test_a_schedule_without_a_past_begins_now(self, stand: Stand) -> None:
        stand.now = 1000.5
        assert fire(stand.places, slot(after=None), stand.now) == SlotReceipt(1000, since=1000.5)

    def test_one_with_a_past_goes_on(self, stand: Stand) -> None:
        fire(stand.places, slot(), stand.now)
        assert fire(stand.places, slot(after=None), stand.now).last == 1060

    def test_it_is_forgotten_long_after_its_next_slot(self, stand: Stand) -> None:
        fire(stand.places, slot(), stand.now)
        stand.now = 1120.0 + SLOT_TTL
        assert fire(stand.places, slot(after=None), stand.now).last == int(stand.now)

    def test_a_slot_far_in_the_future_counts_as_none(self, stand: Stand) -> None:
        fire(stand.places, slot(slot=1001 + SLOT_AHEAD, due=1001 + SLOT_AHEAD), stand.now)
        assert fire(stand.places, slot(after=None), stand.now).last == 1000


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


class TestOtherSpec:
    """`new` was declared after `old`. Both fire each minute."""

    @pytest.fixture
    def old(self, stand: Stand) -> ScheduleSlot:
        return declare(stand, "old", "* * * * *")

    @pytest.fixture
    def new(self, stand: Stand, old: ScheduleSlot) -> ScheduleSlot:
        return declare(stand, "new", "* * * * * UTC")

    def test_it_waits_while_the_other_one_is_heard_of(
        self, stand: Stand, old: ScheduleSlot, new: ScheduleSlot
    ) -> None:
        stand.now += 600.0
        fire(stand.places, replace(new, schedule="s2", after=None, since=0.0), stand.now)
        stand.now += SCHEDULER_SILENT - 0.5
        assert fire(stand.places, old, stand.now).is_other
        stand.now += 0.5
        receipt = fire(stand.places, old, stand.now)
        assert receipt.taken_over
        assert receipt.last == new.due - 1

    def test_it_goes_on_where_the_other_one_was_heard_of_last(
        self, stand: Stand, old: ScheduleSlot
    ) -> None:
        daily = declare(stand, "new", "0 0 * * *", due=90_000)
        stand.now += 3000.0
        fire(stand.places, replace(daily, slot=1000), stand.now)
        stand.now += 60.0
        assert fire(stand.places, old, stand.now) == SlotReceipt(4000, taken_over=True)

    def test_it_never_goes_back(self, stand: Stand, old: ScheduleSlot, new: ScheduleSlot) -> None:
        fire(stand.places, replace(new, slot=1090, due=1100), stand.now)
        stand.now += 60.0
        assert fire(stand.places, old, stand.now) == SlotReceipt(1090, taken_over=True)

    @pytest.mark.parametrize("step", [-3600.0, 3600.0])
    def test_a_clock_that_is_set_does_not_decide_for_longer_than_seconds(
        self, stand: Stand, old: ScheduleSlot, new: ScheduleSlot, step: float
    ) -> None:
        stand.now += 7200 + step
        fire(stand.places, replace(new, slot=new.after or 0), stand.now)
        assert fire(stand.places, old, stand.now).is_other
        stand.now += SCHEDULER_SILENT
        assert fire(stand.places, old, stand.now).taken_over

    def test_who_declares_after_a_step_back_is_still_the_last(
        self, stand: Stand, old: ScheduleSlot, new: ScheduleSlot
    ) -> None:
        stand.now -= 500.0
        fire(stand.places, new, stand.now)
        last = declare(stand, "last", "0 * * * *")
        assert last.since > new.since
        assert fire(stand.places, new, stand.now).is_other

    def test_if_nobody_knows_when_it_was_heard_of_it_was_more_than_an_hour_ago(
        self, stand: Stand, old: ScheduleSlot, new: ScheduleSlot
    ) -> None:
        stand.now += SCHEDULER_TTL + 100
        assert fire(stand.places, old, stand.now) == SlotReceipt(1100, taken_over=True)

    def test_a_slot_that_is_due_when_it_takes_over_is_its_own(
        self, stand: Stand, old: ScheduleSlot
    ) -> None:
        declare(stand, "new", "@yearly", due=2**31)
        stand.now += 86400.0
        due = int(stand.now)
        receipt = fire(stand.places, replace(old, slot=due), stand.now)
        assert receipt.taken_over
        assert receipt.last < due

    def test_silent_holders_are_forgotten_when_others_come(
        self, stand: Stand, old: ScheduleSlot
    ) -> None:
        for number in range(50):
            declare(stand, f"crash-{number}", "* * * * *")
            stand.now += 2.0
        kept = stand.places.slots.get("s", stand.now)
        assert kept is not None
        assert len(kept.holders) <= 5
