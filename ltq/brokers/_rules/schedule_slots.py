"""Schedules: each slot is fired once, by the first scheduler that asks, unless it is paused."""

from dataclasses import replace
from math import floor, inf

from msgspec import structs

from ltq.broker.schedule_slots import (
    SCHEDULER_SILENT,
    SLOT_AHEAD,
    SLOT_HANDOVER,
    ScheduleSlot,
    SlotReceipt,
)
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.brokers._rules.constants import MAX_REMOVED, SCHEDULER_TTL, SLOT_TTL
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.publish import publish_one
from ltq.brokers._rules.slot import Heard, Holder, KeptSlot
from ltq.message import Published


def fire(places: Places, slot: ScheduleSlot, now: float) -> SlotReceipt:
    """See `ScheduleStore.fire`."""
    if slot.put:
        return fire_kept(places, slot, now)
    if slot.scheduler:
        heard = Heard(now, left=slot.leaves)
        places.schedulers.set(slot.scheduler, heard, expires=now + SCHEDULER_TTL, now=now)
    kept = kept_slot(places, slot.schedule, now)
    if slot.leaves:
        return SlotReceipt(0 if kept is None else kept.last)
    since = slot.since
    if slot.after is None and not since:  # declared now, so later than all others
        others = () if kept is None else kept.holders
        since = max([now, *(one.since + 1e-6 for one in others)])
    receipt = _fire(places, slot, kept, since, now)
    return receipt if slot.after is not None else structs.replace(receipt, since=since)


def _fire(
    places: Places, slot: ScheduleSlot, kept: KeptSlot | None, since: float, now: float
) -> SlotReceipt:
    """Answer a call. `since` is when its scheduler declared the schedule."""
    if kept is not None and kept.put:
        return SlotReceipt(kept.last, is_other=True)
    if kept is not None and kept.spec != slot.spec:
        if any(one.since >= since for one in _live(places, kept.holders, now)):
            return SlotReceipt(kept.last, is_other=True)
        last = handover(places, kept, now, declares=not slot.since)
        holders = _joined(places, (), slot.scheduler, since, now)
        # An earlier `due` says that more may be undone. The caller says when the next one is.
        taken = replace(kept, spec=slot.spec, last=last, due=last + 1, holders=holders)
        keep(places, slot.schedule, taken, now)
        return SlotReceipt(last, taken_over=True)
    known = () if kept is None else kept.holders
    holders = _joined(places, known, slot.scheduler, since, now)
    if kept is not None and kept.last != slot.after:
        if holders != known:
            keep(places, slot.schedule, replace(kept, holders=holders), now)
        return SlotReceipt(kept.last)  # only read, or another scheduler has fired it
    if slot.after is None:
        return _begin(places, slot, holders, now)
    return go_on(places, slot, kept, holders, now)


def _begin(
    places: Places, slot: ScheduleSlot, holders: tuple[Holder, ...], now: float
) -> SlotReceipt:
    """Let a new schedule begin now."""
    keep(places, slot.schedule, KeptSlot(slot.spec, floor(now), slot.due, holders), now)
    return SlotReceipt(floor(now))


def go_on(
    places: Places,
    slot: ScheduleSlot,
    kept: KeptSlot | None,
    holders: tuple[Holder, ...],
    now: float,
) -> SlotReceipt:
    """Fire a slot, or let it pass, unless its schedule is paused."""
    before = kept or KeptSlot(slot.spec, slot.slot, slot.due)
    if before.is_paused:
        return SlotReceipt(before.last, is_paused=True)
    published = None if slot.envelope is None else publish_one(places, slot.envelope, now)
    if published is Published.FULL:
        return SlotReceipt(before.last if slot.after is None else slot.after, published)
    fired = before.fired if published is None else slot.slot
    after = replace(before, last=slot.slot, due=slot.due, holders=holders, fired=fired)
    keep(places, slot.schedule, after, now)
    return SlotReceipt(slot.slot, published)


def handover(places: Places, kept: KeptSlot, now: float, *, declares: bool) -> int:
    """After which moment another spec goes on: until then the slots were those of this one.

    With `declares` it is declared now.
    """
    if declares:
        return max(kept.last, floor(now) - SLOT_HANDOVER, min(floor(now), kept.due - 1))
    if _live(places, kept.holders, now):
        until = now
    else:
        # It is not known when one was heard of before that.
        heard = [places.schedulers.get(one.scheduler, now) for one in kept.holders]
        until = min(now, max([now - SCHEDULER_TTL, *(one.time for one in heard if one)]))
    return max(kept.last, min(floor(until), kept.due - 1))


def _live(places: Places, holders: tuple[Holder, ...], now: float) -> tuple[Holder, ...]:
    """Those that were heard of lately. The clock may have been set since, either way."""

    def is_live(holder: Holder) -> bool:
        heard = places.schedulers.get(holder.scheduler, now)
        return heard is not None and not heard.left and abs(now - heard.time) < SCHEDULER_SILENT

    return tuple(filter(is_live, holders))


def _joined(
    places: Places, holders: tuple[Holder, ...], scheduler: str, since: float, now: float
) -> tuple[Holder, ...]:
    """The holders with one more, without the silent ones; the same if it is one of them."""
    if not scheduler or any(one.scheduler == scheduler for one in holders):
        return holders
    return (*_live(places, holders, now), Holder(scheduler, since))


def is_held(places: Places, kept: KeptSlot, now: float) -> bool:
    """Whether a scheduler that declares it was heard of lately."""
    return bool(_live(places, kept.holders, now))


def kept_slot(places: Places, schedule: str, now: float) -> KeptSlot | None:
    """What is known of a schedule. A last slot that a wrong clock kept does not count."""
    kept = places.slots.get(schedule, now)
    if kept is None or kept.last <= now + SLOT_AHEAD:
        return kept
    return replace(kept, last=floor(now), holders=()) if kept.put or kept.is_paused else None


def keep(places: Places, schedule: str, kept: KeptSlot, now: float) -> None:
    """Keep a schedule: as long as it is put or paused, else until it is long overdue.

    One that was paused for long is kept as long from its resumption on.
    """
    expires = inf if kept.put or kept.is_paused else max(kept.due, kept.resumed) + SLOT_TTL
    places.slots.set(schedule, kept, expires=expires, now=now)


# Schedules that are kept, and those that are paused


def put(places: Places, schedule: KeptSchedule, due: int, now: float) -> bool:
    """See `ScheduleKeeper.put_schedule`."""
    kept = kept_slot(places, schedule.name, now)
    if kept is not None and not kept.put and is_held(places, kept, now):
        return False
    digest = schedule.digest
    if kept is not None and kept.put == digest:
        return True
    if kept is None:
        kept = KeptSlot(schedule.spec, floor(now), due)
    elif kept.spec != schedule.spec:
        second = floor(now)
        last = max(kept.last, second)  # what passes during a pause is not left undone
        if not kept.is_paused:
            last = handover(places, kept, now, declares=True)
        # An earlier `due` says that a slot may be undone.
        due = due if last >= second else last + 1
        kept = replace(kept, spec=schedule.spec, last=last, due=due)
    kept = replace(kept, put=digest, schedule=schedule, holders=())
    places.queues.add(schedule.envelope.queue)
    _change(places, schedule.name, kept, now)
    return True


def adopt(
    places: Places, record: ScheduleRecord, schedule: KeptSchedule, due: int, now: float
) -> bool:
    """See `Mover.adopt_schedule`."""
    kept = kept_slot(places, schedule.name, now)
    if kept is not None and not kept.put and is_held(places, kept, now):
        return False
    if kept is not None and kept.put:
        if kept.put != record.put:
            return False
        if not kept.is_paused:
            return True
    taken = KeptSlot(
        spec=schedule.spec,
        last=record.last,
        due=due,
        fired=record.fired,
        put=record.put,
        schedule=schedule,
        is_paused=record.is_paused,
        resumed=record.resumed,
    )
    places.queues.add(schedule.envelope.queue)
    _change(places, schedule.name, taken, now)
    return True


def remove(places: Places, name: str, now: float) -> bool:
    """See `ScheduleKeeper.remove_schedule`."""
    kept = kept_slot(places, name, now)
    if kept is None or (not kept.put and is_held(places, kept, now)):
        return False
    places.slots.set(name, kept, expires=now, now=now)
    places.schedule_changes.note(name, is_gone=True, most_gone=MAX_REMOVED)
    return True


def pause(places: Places, name: str, now: float) -> bool:
    """See `ScheduleKeeper.pause_schedule`."""
    kept = kept_slot(places, name, now)
    if kept is not None and not kept.is_paused:
        _change(places, name, replace(kept, is_paused=True), now)
    return kept is not None


def resume(places: Places, name: str, now: float) -> bool:
    """See `ScheduleKeeper.resume_schedule`."""
    kept = kept_slot(places, name, now)
    if kept is not None and kept.is_paused:
        _change(places, name, replace(kept, is_paused=False, resumed=now), now)
    return kept is not None


def changed(places: Places, namespace: str, after: int, limit: int, now: float) -> ScheduleChanges:
    """See `ScheduleKeeper.changed_schedules`."""
    changes = places.schedule_changes.after(after, limit)
    records = [
        record(namespace, change.name, kept)
        for change in changes
        if not change.is_gone and (kept := kept_slot(places, change.name, now)) is not None
    ]
    known = {one.name for one in records}
    return ScheduleChanges(
        records=records,
        gone=[change.name for change in changes if change.name not in known],
        latest=changes[-1].number if changes else places.schedule_changes.latest(),
        has_more=len(changes) == limit,
    )


def named(places: Places, namespace: str, names: list[str], now: float) -> list[ScheduleRecord]:
    """Those of the schedules with these names that are known."""
    found = ((name, kept_slot(places, name, now)) for name in names)
    return [record(namespace, name, kept) for name, kept in found if kept is not None]


def record(namespace: str, name: str, kept: KeptSlot) -> ScheduleRecord:
    """A schedule as callers see it."""
    return ScheduleRecord(
        name=name,
        namespace=namespace,
        spec=kept.spec,
        put=kept.put,
        schedule=kept.schedule,
        is_paused=kept.is_paused,
        resumed=kept.resumed,
        last=kept.last,
        fired=kept.fired,
    )


def fire_kept(places: Places, slot: ScheduleSlot, now: float) -> SlotReceipt:
    """`ScheduleStore.fire` for a schedule that is kept."""
    kept = kept_slot(places, slot.schedule, now)
    if kept is None or kept.put != slot.put:
        return SlotReceipt(0 if kept is None else kept.last, is_gone=True)
    if kept.last != slot.after:
        return SlotReceipt(kept.last)  # only read, or another scheduler has fired it
    return go_on(places, slot, kept, (), now)


def _change(places: Places, name: str, kept: KeptSlot, now: float) -> None:
    keep(places, name, kept, now)
    places.schedule_changes.note(name, is_gone=False, most_gone=MAX_REMOVED)
