"""Schedules and their last slots, as they should be kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import floor

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.message import Envelope, Published

LIFE = 30 * 86400
SILENT = 6.0
HANDOVER = 60
KNOWN = 3600
"""For how long it is known when a scheduler was heard of."""


@dataclass(frozen=True)
class Says:
    """What a schedule says that is put."""

    expr: str
    word: str
    """The argument of its task."""
    misfire: str = "once"
    options: tuple[tuple[str, object], ...] = ()
    """Send options of its task."""


@dataclass(frozen=True)
class Kept:
    """What is known of a schedule."""

    spec: str
    last: int
    due: int
    holders: tuple[tuple[str, float], ...] = ()
    """The schedulers that called with this spec, and when each declared it."""
    put: str = ""
    """The broker's digest of what was put; empty if it is declared in code."""
    says: Says | None = None
    """What was put."""
    is_paused: bool = False
    resumed: float = 0.0
    fired: int | None = None
    """The last slot that enqueued a task."""
    was_changed: bool = False
    """Whether it was put, paused or resumed ever."""

    def handed_over(self, now: float, until: float) -> int:
        """After which slot another declaration goes on, if those until then are this one's."""
        return max(self.last, min(floor(until), self.due - 1))

    def declared_over(self, now: float) -> int:
        """The same for one that is declared now: it makes up for a minute at most."""
        return max(self.handed_over(now, now), floor(now) - HANDOVER)


class ScheduleTable:
    """The reference for `fire` and for kept schedules. No slot is more than a day ahead here."""

    def __init__(self, publish: Callable[[Envelope, float], Published]) -> None:
        self._publish = publish
        self.kept: dict[str, Kept] = {}
        self._heard: dict[str, float] = {}
        self._left: set[str] = set()

    # Slots

    def begins(self, slot: ScheduleSlot, now: float) -> bool:
        """Whether this call makes a schedule begin now."""
        return slot.after is None and self.look(slot.schedule, now) is None

    def begin(self, slot: ScheduleSlot, last: int, now: float, since: float) -> None:
        """It began, at the second that the broker said."""
        self._hear(slot, now)
        self.kept.pop(slot.schedule, None)
        self._keep(slot, last, slot.due, since)

    def fire(self, slot: ScheduleSlot, now: float, since: float) -> SlotReceipt:
        """What is to be answered. `since` is when the scheduler declared the schedule."""
        if slot.put:
            return self._fire_put(slot, now)
        self._hear(slot, now)
        kept = self.look(slot.schedule, now)
        if kept is not None and kept.put:
            return SlotReceipt(kept.last, is_other=True)
        if kept is not None and kept.spec != slot.spec:
            return self._of_others(slot, kept, now, since)
        if kept is not None and kept.last != slot.after:
            self._keep(slot, kept.last, kept.due, since)
            return SlotReceipt(kept.last)
        return self._go_on(slot, kept, now, since)

    def leave(self, scheduler: str, now: float) -> None:
        """It ends."""
        self._heard[scheduler] = now
        self._left.add(scheduler)

    def latest_holder(self, slot: ScheduleSlot) -> float:
        """When the spec that is kept was declared last."""
        kept = self.kept.get(slot.schedule)
        return max((since for _, since in kept.holders), default=0.0) if kept else 0.0

    def went_on_after(self, schedule: str, last: int) -> None:
        """The broker took it over a moment later than expected."""
        self.kept[schedule] = replace(self.kept[schedule], last=last, due=last + 1)

    def look(self, schedule: str, now: float) -> Kept | None:
        """What is known of a schedule, unless it is long overdue."""
        kept = self.kept.get(schedule)
        if kept is None or kept.put or kept.is_paused:
            return kept
        return None if max(kept.due, kept.resumed) + LIFE <= now else kept

    def _fire_put(self, slot: ScheduleSlot, now: float) -> SlotReceipt:
        kept = self.look(slot.schedule, now)
        if kept is None or kept.put != slot.put:
            return SlotReceipt(0 if kept is None else kept.last, is_gone=True)
        if kept.last != slot.after:
            return SlotReceipt(kept.last)
        return self._go_on(slot, kept, now, 0.0)

    def _go_on(
        self, slot: ScheduleSlot, kept: Kept | None, now: float, since: float
    ) -> SlotReceipt:
        if kept is not None and kept.is_paused:
            return SlotReceipt(kept.last, is_paused=True)
        published = None if slot.envelope is None else self._publish(slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after or 0, published)
        if kept is None:
            self.kept.pop(slot.schedule, None)
        self._keep(slot, slot.slot, slot.due, since)
        if published is not None:
            self.kept[slot.schedule] = replace(self.kept[slot.schedule], fired=slot.slot)
        return SlotReceipt(slot.slot, published)

    def _of_others(self, slot: ScheduleSlot, kept: Kept, now: float, since: float) -> SlotReceipt:
        live = self._live(kept, now)
        if any(theirs >= since for theirs in live):
            return SlotReceipt(kept.last, is_other=True)
        if slot.after is None:
            last = kept.declared_over(now)
        else:
            heard = [self._heard[name] for name, _ in kept.holders]
            last = kept.handed_over(now, now if live else max(now - KNOWN, *heard))
        self._keep(slot, last, last + 1, since)
        return SlotReceipt(last, taken_over=True)

    def _live(self, kept: Kept, now: float) -> list[float]:
        """When those declared it that are there now."""
        return [
            since
            for name, since in kept.holders
            if name not in self._left and now - self._heard[name] < SILENT
        ]

    def _hear(self, slot: ScheduleSlot, now: float) -> None:
        self._heard[slot.scheduler] = now
        self._left.discard(slot.scheduler)

    def _keep(self, slot: ScheduleSlot, last: int, due: int, since: float) -> None:
        before = self.kept.get(slot.schedule) or Kept(slot.spec, last, due)
        holders = before.holders if before.spec == slot.spec else ()
        if slot.scheduler and all(slot.scheduler != name for name, _ in holders):
            holders = (*holders, (slot.scheduler, since))
        self.kept[slot.schedule] = replace(
            before, spec=slot.spec, last=last, due=due, holders=holders
        )

    # Schedules at run time

    def putting(self, name: str, says: Says, spec: str, due: int, now: float) -> Kept | None:
        """What is known once this is put; None if it is refused, as running code declares it."""
        kept = self.look(name, now)
        if kept is not None and not kept.put and self._live(kept, now):
            return None
        if kept is not None and kept.says == says:
            return kept
        if kept is None:
            kept = Kept(spec, floor(now), due)
        elif kept.spec != spec:
            # What passes during a pause is not left undone.
            last = max(kept.last, floor(now)) if kept.is_paused else kept.declared_over(now)
            kept = replace(kept, spec=spec, last=last, due=due if last >= floor(now) else last + 1)
        return replace(kept, says=says, holders=(), was_changed=True)

    def adopt(self, name: str, arrived: Kept, now: float) -> bool:
        """Whether it is kept, as it is said or as it is here."""
        kept = self.look(name, now)
        if kept is not None and not kept.put and self._live(kept, now):
            return False
        if kept is not None and kept.put and kept.put != arrived.put:
            return False
        if kept is None or kept.put != arrived.put or kept.is_paused:
            self.kept[name] = replace(arrived, was_changed=True)
        return True

    def remove(self, name: str, now: float) -> bool:
        """Whether it is gone."""
        kept = self.look(name, now)
        if kept is None or (not kept.put and self._live(kept, now)):
            return False
        del self.kept[name]
        return True

    def pause(self, name: str, now: float) -> bool:
        """Whether it is paused."""
        kept = self.look(name, now)
        if kept is not None and not kept.is_paused:
            self.kept[name] = replace(kept, is_paused=True, was_changed=True)
        return kept is not None

    def resume(self, name: str, now: float) -> bool:
        """Whether it goes on."""
        kept = self.look(name, now)
        if kept is not None and kept.is_paused:
            self.kept[name] = replace(kept, is_paused=False, resumed=now)
        return kept is not None
