"""The memory broker's slots of schedules, of one namespace."""

from collections.abc import Callable
from dataclasses import dataclass

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.message import Envelope, Published

_LIFE, _PATIENCE, _DAY = 30 * 86400, 60, 86400
"""Seconds: see `ScheduleStore.fire`."""


@dataclass(frozen=True, slots=True)
class _Kept:
    spec: str
    last: int
    due: int


class ScheduleTable:
    """The last slot of each schedule. The store calls it under its lock and tells it the time."""

    def __init__(self, publish: Callable[[Envelope, float], Published]) -> None:
        self._publish = publish
        self._kept: dict[str, _Kept] = {}

    def fire(self, tick: ScheduleSlot, now: float) -> SlotReceipt:
        """See `ScheduleStore.fire`."""
        kept = self._look(tick.schedule, now)
        own = kept if kept is not None and kept.spec == tick.spec else None
        if tick.after is None:
            return SlotReceipt(self._keep(tick, int(now)) if own is None else own.last)
        if kept is not None and own is None and now < kept.due + _PATIENCE:
            return SlotReceipt(kept.last, is_other=True)
        if own is not None and own.last != tick.after:
            return SlotReceipt(own.last)
        published = None
        if tick.envelope is not None:
            published = self._publish(tick.envelope, now)
            if published is Published.FULL:
                return SlotReceipt(tick.after, published)
        return SlotReceipt(self._keep(tick, tick.slot), published)

    def _look(self, schedule: str, now: float) -> _Kept | None:
        for name in [name for name, kept in self._kept.items() if kept.due + _LIFE <= now]:
            del self._kept[name]
        kept = self._kept.get(schedule)
        return None if kept is None or kept.last > now + _DAY else kept

    def _keep(self, tick: ScheduleSlot, slot: int) -> int:
        self._kept[tick.schedule] = _Kept(tick.spec, slot, tick.due)
        return slot
