"""The slots of schedules: each is fired once, by the spec that was declared last."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from ltq.broker import (
    SCHEDULER_SILENT,
    SLOT_AHEAD,
    SLOT_HANDOVER,
    KeptSchedule,
    ScheduleChanges,
    ScheduleRecord,
    ScheduleSlot,
    SlotReceipt,
    namespace_of,
)
from ltq.message import Envelope, Published

_SLOT_TTL = 30 * 86400
"""Seconds for which the last slot of a schedule is kept after its next one is due."""


@dataclass
class _Kept:
    """What is known of a schedule."""

    spec: str
    last: int
    due: int
    holders: dict[str, float] = field(default_factory=dict)
    """The schedulers that have called with this spec, and when each declared it."""
    fired: int | None = None
    put: str = ""
    schedule: KeptSchedule | None = None
    is_paused: bool = False
    resumed: float = 0.0
    number: int = 0
    """It grows with each change that schedulers have to learn of."""


@dataclass
class Slots:
    """The last slots of schedules, and when schedulers were heard of."""

    _kept: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    _heard: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When, and whether it said that it ends."""
    _gone: dict[tuple[str, str], int] = field(default_factory=dict)
    """The schedules that were removed, and the number of that change."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def fire(
        self, slot: ScheduleSlot, now: float, publish: Callable[[Envelope, float], Published]
    ) -> SlotReceipt:
        """See `ScheduleStore.fire`."""
        if slot.scheduler:
            self._heard[slot.scheduler] = (now, slot.leaves)
        kept = self._look((namespace_of(slot.queue), slot.schedule), now)
        if slot.put:
            return self._of_kept(slot, kept, now, publish)
        if slot.leaves:
            return SlotReceipt(0 if kept is None else kept.last)
        since = slot.since
        if slot.after is None and not since:  # declared now, so later than all others
            others = () if kept is None else kept.holders.values()
            since = max([now, *(known + 1e-6 for known in others)])
        if kept is not None and kept.put:
            receipt = SlotReceipt(kept.last, is_other=True)
        elif kept is not None and kept.spec != slot.spec:
            receipt = self._of_others(slot, kept, since, now)
        else:
            receipt = self._of_own(slot, kept, since, now, publish)
        return replace(receipt, since=since) if slot.after is None else receipt

    def _of_others(self, slot: ScheduleSlot, kept: _Kept, since: float, now: float) -> SlotReceipt:
        """Take over, unless somebody holds it who declared it later."""
        live = [known for run, known in kept.holders.items() if self._is_live(run, now)]
        if any(known >= since for known in live):
            return SlotReceipt(kept.last, is_other=True)
        heard = [self._heard[run][0] for run in kept.holders if run in self._heard]
        until = now if live or not slot.since else max(heard, default=kept.last)
        last = max(kept.last, min(int(until), kept.due - 1))
        if not slot.since:
            last = max(last, int(now) - SLOT_HANDOVER)
        self._keep(slot, last, last + 1, {slot.scheduler: since})
        return SlotReceipt(last, taken_over=True)

    def _of_own(
        self,
        slot: ScheduleSlot,
        kept: _Kept | None,
        since: float,
        now: float,
        publish: Callable[[Envelope, float], Published],
    ) -> SlotReceipt:
        """Fire the slot, unless another scheduler has."""
        holders = {slot.scheduler: since, **(kept.holders if kept is not None else {})}
        if kept is not None and kept.last != slot.after:
            self._keep(slot, kept.last, kept.due, holders)
            return SlotReceipt(kept.last)
        if slot.after is None:
            self._keep(slot, int(now), slot.due, holders)
            return SlotReceipt(int(now))
        if kept is not None and kept.is_paused:
            return SlotReceipt(kept.last, is_paused=True)
        published = None if slot.envelope is None else publish(slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after, published)
        made = self._keep(slot, slot.slot, slot.due, holders)
        made.fired = made.fired if published is None else slot.slot
        return SlotReceipt(slot.slot, published)

    def _of_kept(
        self,
        slot: ScheduleSlot,
        kept: _Kept | None,
        now: float,
        publish: Callable[[Envelope, float], Published],
    ) -> SlotReceipt:
        """Fire the slot of a schedule that was put."""
        if kept is None or kept.put != slot.put:
            return SlotReceipt(0 if kept is None else kept.last, is_gone=True)
        if kept.last != slot.after:
            return SlotReceipt(kept.last)
        if kept.is_paused:
            return SlotReceipt(kept.last, is_paused=True)
        published = None if slot.envelope is None else publish(slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after, published)
        kept.last, kept.due = slot.slot, slot.due
        kept.fired = kept.fired if published is None else slot.slot
        return SlotReceipt(slot.slot, published)

    # Schedules that are kept, and those that are paused

    def put(self, schedule: KeptSchedule, due: int, now: float) -> bool:
        """See `ScheduleKeeper.put_schedule`."""
        key, digest = (namespace_of(schedule.envelope.queue), schedule.name), schedule.digest
        kept = self._look(key, now)
        if kept is not None and not kept.put and self._is_held(kept, now):
            return False
        if kept is None:
            kept = _Kept(schedule.spec, int(now), due)
        elif kept.put == digest:
            return True
        elif kept.spec != schedule.spec:
            undone = min(int(now), kept.due - 1)  # up to where the former one has done its part
            since = int(now) if kept.is_paused else max(undone, int(now) - SLOT_HANDOVER)
            kept.spec, kept.last = schedule.spec, max(kept.last, since)
            kept.due = due if kept.last >= int(now) else kept.last + 1
        kept.put, kept.schedule, kept.holders = digest, schedule, {}
        self._change(key, kept)
        return True

    def adopt(self, record: ScheduleRecord, schedule: KeptSchedule, due: int, now: float) -> bool:
        """See `Mover.adopt_schedule`."""
        key = (namespace_of(schedule.envelope.queue), schedule.name)
        kept = self._look(key, now)
        if kept is not None and not kept.put and self._is_held(kept, now):
            return False
        if kept is not None and kept.put and (kept.put != record.put or not kept.is_paused):
            return kept.put == record.put  # what goes on here is left as it is
        taken = _Kept(schedule.spec, record.last, due, fired=record.fired, put=record.put)
        taken.schedule, taken.is_paused = schedule, record.is_paused
        taken.resumed = record.resumed
        self._change(key, taken)
        return True

    def remove(self, key: tuple[str, str], now: float) -> bool:
        """See `ScheduleKeeper.remove_schedule`."""
        kept = self._look(key, now)
        if kept is None or (not kept.put and self._is_held(kept, now)):
            return False
        del self._kept[key]
        self._gone[key] = next(self._numbers)
        return True

    def pause(self, key: tuple[str, str], now: float, *, is_paused: bool) -> bool:
        """See `ScheduleKeeper.pause_schedule` and `resume_schedule`."""
        kept = self._look(key, now)
        if kept is None:
            return False
        if kept.is_paused is not is_paused:
            kept.is_paused = is_paused
            kept.resumed = kept.resumed if is_paused else now
            self._change(key, kept)
        return True

    def changed(self, namespace: str, after: int, now: float) -> ScheduleChanges:
        """See `ScheduleKeeper.changed_schedules`."""
        changed = {key: kept.number for key, kept in self._kept.items()} | self._gone
        later = {
            key: number
            for key, number in sorted(changed.items(), key=lambda item: item[1])
            if key[0] == namespace and number > after
        }
        # One that was removed may have been declared in code by now: that is another one.
        records = {key: None if key in self._gone else self.record(key, now) for key in later}
        return ScheduleChanges(
            records=[one for one in records.values() if one is not None],
            gone=[key[1] for key, one in records.items() if one is None],
            latest=self.marks().get(namespace, 0),
        )

    def marks(self) -> dict[str, int]:
        """See `ScheduleKeeper.schedule_marks`."""
        latest: dict[str, int] = {}
        for key, number in [
            *((key, one.number) for key, one in self._kept.items()),
            *self._gone.items(),
        ]:
            latest[key[0]] = max(latest.get(key[0], 0), number)
        return {namespace: number for namespace, number in latest.items() if number}

    def named(
        self, names: Collection[str], namespace: str | None, now: float
    ) -> list[ScheduleRecord]:
        """See `ScheduleKeeper.schedules`."""
        keys = [key for key in self._kept if key[1] in names and namespace in (None, key[0])]
        records = (self.record(key, now) for key in keys)
        return [one for one in records if one is not None]

    def record(self, key: tuple[str, str], now: float) -> ScheduleRecord | None:
        """What is known of a schedule."""
        kept = self._look(key, now)
        if kept is None:
            return None
        return ScheduleRecord(
            name=key[1],
            namespace=key[0],
            spec=kept.spec,
            put=kept.put,
            schedule=kept.schedule,
            is_paused=kept.is_paused,
            resumed=kept.resumed,
            last=kept.last,
            fired=kept.fired,
        )

    def _change(self, key: tuple[str, str], kept: _Kept) -> None:
        kept.number = next(self._numbers)
        self._kept[key] = kept
        self._gone.pop(key, None)

    def _look(self, key: tuple[str, str], now: float) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        stays = bool(kept.put) or kept.is_paused
        if kept.last > now + SLOT_AHEAD:  # kept by a clock that was wrong
            if not stays:
                return None
            kept.last = int(now)
        return kept if stays or max(kept.due, kept.resumed) + _SLOT_TTL > now else None

    def _keep(self, slot: ScheduleSlot, last: int, due: int, holders: dict[str, float]) -> _Kept:
        key = namespace_of(slot.queue), slot.schedule
        before = self._kept.get(key) or _Kept(slot.spec, last, due)
        before.spec, before.last, before.due, before.holders = slot.spec, last, due, holders
        self._kept[key] = before
        return before

    def _is_held(self, kept: _Kept, now: float) -> bool:
        return any(self._is_live(run, now) for run in kept.holders)

    def _is_live(self, run: str, now: float) -> bool:
        heard, left = self._heard.get(run, (0.0, True))
        return not left and abs(now - heard) < SCHEDULER_SILENT
