"""Slots of schedules: each is fired once, by the first scheduler that asks."""

from ltq.broker.schedule_slots import SLOT_AHEAD, ScheduleSlot, SlotReceipt
from ltq.brokers._rules.constants import SLOT_OWNED, SLOT_TTL
from ltq.brokers._rules.places import KeptSlot, Places
from ltq.brokers._rules.publish import publish_one
from ltq.message import Published


def fire(places: Places, slot: ScheduleSlot, now: float) -> SlotReceipt:
    """See `ScheduleStore.fire`."""
    kept = _kept(places, slot.schedule, now)
    is_own = kept is not None and kept.spec == slot.spec
    if slot.after is None:
        return SlotReceipt(kept.last if kept and is_own else _keep(places, slot, int(now), now))
    if kept and is_own and kept.last != slot.after:
        return SlotReceipt(kept.last)  # another scheduler has fired it
    if kept and not is_own and now < kept.due + SLOT_OWNED:
        return SlotReceipt(kept.last, is_other=True)
    return _fire(places, slot, slot.after, now)


def _fire(places: Places, slot: ScheduleSlot, after: int, now: float) -> SlotReceipt:
    """Enqueue the envelope, if there is one, and keep the slot unless the queue is full."""
    if slot.envelope is None:
        return SlotReceipt(_keep(places, slot, slot.slot, now))
    published = publish_one(places, slot.envelope, now)
    if published is Published.FULL:
        return SlotReceipt(after, published)
    return SlotReceipt(_keep(places, slot, slot.slot, now), published)


def _kept(places: Places, schedule: str, now: float) -> KeptSlot | None:
    """The last slot of a schedule, unless a wrong clock kept it."""
    kept = places.slots.get(schedule, now)
    return None if kept is None or kept.last > now + SLOT_AHEAD else kept


def _keep(places: Places, slot: ScheduleSlot, last: int, now: float) -> int:
    """Keep `last` as the last slot of a schedule, and return it."""
    kept = KeptSlot(slot.spec, last, slot.due)
    places.slots.set(slot.schedule, kept, expires=slot.due + SLOT_TTL, now=now)
    return last
