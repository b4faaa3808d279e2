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

    def begins(self, tick: ScheduleSlot, now: float) -> bool:
        """Whether this call makes a schedule begin now."""
        return tick.after is None and self._own(tick, now) is None

    def begin(self, tick: ScheduleSlot, last: int) -> None:
        """It began, at the second that the broker said."""
        self._keep(tick, last)

    def fire(self, tick: ScheduleSlot, now: float) -> SlotReceipt:
        """What is to be answered."""
        kept, own = self._look(tick, now), self._own(tick, now)
        if tick.after is None:
            assert own is not None, "it begins: see `begins`"
            return SlotReceipt(own.last)
        if kept is not None and own is None and now < kept.due + PATIENCE:
            return SlotReceipt(kept.last, is_other=True)
        if own is not None and own.last != tick.after:
            return SlotReceipt(own.last)
        published = None if tick.envelope is None else self._publish(tick.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(tick.after, published)
        self._keep(tick, tick.slot)
        return SlotReceipt(tick.slot, published)

    def _look(self, tick: ScheduleSlot, now: float) -> Kept | None:
        kept = self.kept.get(tick.schedule)
        return None if kept is None or kept.due + LIFE <= now else kept

    def _own(self, tick: ScheduleSlot, now: float) -> Kept | None:
        kept = self._look(tick, now)
        return kept if kept is not None and kept.spec == tick.spec else None

    def _keep(self, tick: ScheduleSlot, last: int) -> None:
        before = self.kept.get(tick.schedule)
        reign = 0 if before is None else before.reign + (before.spec != tick.spec)
        self.kept[tick.schedule] = Kept(tick.spec, last, tick.due, reign)
