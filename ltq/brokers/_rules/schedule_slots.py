"""Slots of schedules: each is fired once, whoever comes first."""

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers._rules.constants import SLOT_AHEAD, SLOT_OWNED, SLOT_TTL
from ltq.brokers._rules.places import KeptSlot, Places
from ltq.brokers._rules.publish import publish_one
from ltq.message import Published


def fire(places: Places, slot: ScheduleSlot, now: float) -> SlotReceipt:
    """Enqueue the envelope of a slot and keep the slot, unless somebody did (`ScheduleStore`)."""
    kept = _kept(places, slot.schedule, now)
    own = kept if kept is not None and kept.spec == slot.spec else None
    if slot.after is None:
        return SlotReceipt(_keep(places, slot, int(now), now) if own is None else own.last)
    if kept is not None and own is None and now < kept.due + SLOT_OWNED:
        return SlotReceipt(kept.last, is_other=True)
    if own is not None and own.last != slot.after:
        return SlotReceipt(own.last)
    published = None
    if slot.envelope is not None:
        published = publish_one(places, slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after, published)
    return SlotReceipt(_keep(places, slot, slot.slot, now), published)


def _kept(places: Places, schedule: str, now: float) -> KeptSlot | None:
    kept = places.slots.get(schedule, now)
    return None if kept is None or kept.last > now + SLOT_AHEAD else kept


def _keep(places: Places, slot: ScheduleSlot, last: int, now: float) -> int:
    kept = KeptSlot(slot.spec, last, slot.due)
    places.slots.set(slot.schedule, kept, expires=slot.due + SLOT_TTL, now=now)
    return last
