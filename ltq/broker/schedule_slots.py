"""Slots of schedules at the broker's seam: each is fired once, by the first scheduler that asks."""

from typing import Protocol

import msgspec

from ltq.message import Envelope, Published

SLOT_AHEAD = 86400
"""Seconds that a kept slot may lie in the future. If it is further ahead, a clock was wrong."""

SCHEDULER_SILENT = 6.0
"""Seconds after which a scheduler that is not heard of no longer holds its schedules."""

SLOT_HANDOVER = 60
"""Seconds for which a changed schedule makes up what the former declaration left undone."""


class ScheduleSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a schedule. Slots are whole Unix seconds."""

    schedule: str
    """Its name, unique in the namespace of its queue."""
    queue: str
    spec: str
    """What the schedule says, as text. With another text it is declared otherwise."""
    after: int | None = None
    """The last slot, as far as the caller knows. With None nothing is fired: the call only reads
    the last slot, and a new schedule begins now."""
    slot: int = 0
    due: int
    """When the slot after this one is due."""
    envelope: Envelope | None = None
    """What is enqueued. With None the slot passes without a task."""
    scheduler: str = ""
    """Which run of a scheduler asks. It is heard of by each call. An empty one holds nothing."""
    since: float = 0.0
    """When this run declared the schedule, as a receipt told it. 0: it is declared by this call."""
    put: str = ""
    """For a schedule that the broker keeps: the digest it was put with. Such a call is made for no
    scheduler, and nothing is fired if another was put since, or it was removed."""
    leaves: bool = False
    """The scheduler ends: it holds nothing from now on. Nothing else happens."""


class SlotReceipt(msgspec.Struct, frozen=True):
    """What became of a slot."""

    last: int
    """The last slot of the schedule now."""
    published: Published | None = None
    """The answer to the envelope; None if this call fired nothing. After FULL the slot may be fired
    again."""
    is_other: bool = False
    """Whether nothing was fired because schedulers with another spec hold the schedule."""
    taken_over: bool = False
    """Whether the schedule belonged to another spec until this call. Nothing was fired: the caller
    goes on after `last`, and says when it is `due` then."""
    since: float = 0.0
    """The answer to a call without `after`: its `since`, for the calls to come."""
    is_paused: bool = False
    """Whether nothing was fired, and no slot kept, because the schedule is paused."""
    is_gone: bool = False
    """Whether nothing was fired because the broker does not keep what was `put` any more."""


class ScheduleStore(Protocol):
    """Tells the time, and keeps the last slot of each schedule."""

    async def time(self) -> float:
        """The broker's clock: Unix seconds."""
        ...

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """Enqueue the envelope of a slot and keep the slot as the last one, in one step.

        This happens if the last slot is `after`, or is not known. If it is another one, another
        scheduler has fired, and nothing happens. A last slot that is more than a day ahead of the
        clock does not count. It is forgotten 30 days after `due`.

        If processes declare a schedule with different specs, the spec that was declared last holds
        it, by the calls without `after` and `since`. It does as long as a scheduler that has called
        with it was heard of within `SCHEDULER_SILENT` seconds, by calls about any schedule of the
        namespace. Then the next one may take over. It goes on after the last slot, and after the
        moment until which the former one was heard of, unless that has left a slot undone (`due`).
        A schedule that the broker keeps (see `ScheduleKeeper`) holds its name against all of them.

        Calls that are made at the same time take effect in the order in which they were made.
        """
        ...
