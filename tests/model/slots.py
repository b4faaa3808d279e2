"""The last slots of schedules, as they should be kept."""

from collections.abc import Callable
from dataclasses import dataclass

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.message import Envelope, Published

LIFE = 30 * 86400
PATIENCE = 60


@dataclass(frozen=True)
class Kept:
    """What is known of a schedule."""

    spec: str
    last: int
    due: int
    reign: int
    """How often its spec has changed: with another one it is another schedule."""


class ScheduleTable:
    """The reference for `fire`. No slot is more than a day ahead here."""

    def __init__(self, publish: Callable[[Envelope, float], Published]) -> None:
        self._publish = publish
        self.kept: dict[str, Kept] = {}

    def begins(self, slot: ScheduleSlot, now: float) -> bool:
        """Whether this call makes a schedule begin now."""
        return slot.after is None and self._own(slot, now) is None

    def begin(self, slot: ScheduleSlot, last: int) -> None:
        """It began, at the second that the broker said."""
        self._keep(slot, last)

    def fire(self, slot: ScheduleSlot, now: float) -> SlotReceipt:
        """What is to be answered."""
        kept, own = self._look(slot, now), self._own(slot, now)
        if slot.after is None:
            assert own is not None, "it begins: see `begins`"
            return SlotReceipt(own.last)
        if kept is not None and own is None and now < kept.due + PATIENCE:
            return SlotReceipt(kept.last, is_other=True)
        if own is not None and own.last != slot.after:
            return SlotReceipt(own.last)
        published = None if slot.envelope is None else self._publish(slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after, published)
        self._keep(slot, slot.slot)
        return SlotReceipt(slot.slot, published)

    def _look(self, slot: ScheduleSlot, now: float) -> Kept | None:
        kept = self.kept.get(slot.schedule)
        return None if kept is None or kept.due + LIFE <= now else kept

    def _own(self, slot: ScheduleSlot, now: float) -> Kept | None:
        kept = self._look(slot, now)
        return kept if kept is not None and kept.spec == slot.spec else None

    def _keep(self, slot: ScheduleSlot, last: int) -> None:
        before = self.kept.get(slot.schedule)
        reign = 0 if before is None else before.reign + (before.spec != slot.spec)
        self.kept[slot.schedule] = Kept(slot.spec, last, slot.due, reign)
