"""Schedules that are kept at the broker's seam: put, changed and removed while schedulers run."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ltq.message import Envelope


class KeptSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that the broker keeps: all that a scheduler needs that has none of its code."""

    name: str
    """Unique in the namespace of its queue."""
    expr: str
    """The cron expression."""
    tz: str
    """The name of its time zone."""
    misfire: str
    envelope: Envelope
    """What each slot enqueues. It is given another id each time."""

    @property
    def spec(self) -> str:
        """What it says, as text: with another text its slots are others."""
        return f"{self.expr} {self.tz} {self.envelope.task_name}"

    @property
    def digest(self) -> str:
        """A text that is the same for all that say exactly the same."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()[:20]


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker knows of a schedule. Times are Unix seconds."""

    name: str
    namespace: str
    spec: str
    """Expression, zone and task, as in `ScheduleSlot`."""
    put: str = ""
    """The digest it was put with; empty for one that is declared in code."""
    schedule: KeptSchedule | None = None
    """What was put; None for one that is declared in code, or that cannot be read."""
    is_paused: bool = False
    resumed: float = 0.0
    """When it was resumed; 0 if it never was."""
    last: int
    """Up to which moment its slots are fired or passed."""
    fired: int | None = None
    """The last slot that enqueued a task; None if none has."""


class ScheduleChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The schedules of a namespace that were changed after a certain change."""

    records: list[ScheduleRecord]
    """Those that were put, paused or resumed, in that order."""
    gone: list[str]
    """The names of those that were removed. Of very many the first may be missing."""
    latest: int
    """The number of the last change that is taken in here; 0 if there was none. A smaller one than
    was asked for says that the store was emptied."""
    has_more: bool = False
    """Whether there are later ones."""


class ScheduleKeeper(Protocol):
    """Keeps schedules that are put at run time, and which schedules are paused."""

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        """Keep a schedule, in the namespace of its queue; return whether it is kept.

        False: schedulers that run declare this name in their code, and nothing was changed. It
        replaces one with the same name that was put before, and is paused if that is; one that says
        exactly the same changes nothing. `due` is its first slot from now on. A schedule begins
        now, and so does one whose `spec` was another, except for a slot that the former one has
        left undone, for up to `SLOT_HANDOVER` seconds. With the same `spec` its slots go on.

        From the end of this call on no slot is fired by what it replaces. Raises
        `ConfigurationError` for a wrong name.
        """
        ...

    async def remove_schedule(self, queue: str, name: str) -> bool:
        """Forget a schedule of a queue's namespace that was put; return whether it was there.

        One that is declared in code is forgotten only if no scheduler with it is heard of. From the
        end of this call on no slot of it is fired.
        """
        ...

    async def pause_schedule(self, queue: str, name: str) -> bool:
        """Let no slot of a schedule be fired until it is resumed; False if there is none.

        It may be one that is declared in code, if a scheduler has begun with it.
        """
        ...

    async def resume_schedule(self, queue: str, name: str) -> bool:
        """Let slots be fired again; False if there is no such schedule. Nothing is fired here."""
        ...

    async def schedule_marks(self) -> Mapping[str, int]:
        """For each namespace in which schedules were put, removed, paused or resumed, a number that
        each such change makes another. One small read."""
        ...

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        """What was changed in a queue's namespace after a change that `latest` told; 0 means all.

        The answer may hold only the first ones. Schedules that are declared in code are among them
        from when they were first paused.
        """
        ...

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        """What is known of the schedules with these names, in a queue's namespace or in all.

        Names that are not known are left out.
        """
        ...
