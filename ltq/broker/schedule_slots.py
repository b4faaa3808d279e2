"""Slots of schedules at the broker's seam: each is fired once, by the first scheduler that asks."""

from typing import Protocol

import msgspec

from ltq.message import Envelope, Published

SLOT_AHEAD = 86400
"""Seconds that a kept slot may lie in the future. If it is further ahead, a clock was wrong."""


class ScheduleSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a schedule. Slots are whole Unix seconds."""

    schedule: str
    """Its name, unique in the namespace of its queue."""
    queue: str
    spec: str
    """What the schedule says, as text. If it changes, a new schedule begins, without a past."""
    after: int | None = None
    """The last slot, as far as the caller knows. With None nothing is fired: the call only reads
    the last slot, and a new schedule begins now."""
    slot: int = 0
    due: int
    """When the slot after this one is due."""
    envelope: Envelope | None = None
    """What is enqueued. With None the slot passes without a task."""


class SlotReceipt(msgspec.Struct, frozen=True):
    """What became of a slot."""

    last: int
    """The last slot of the schedule now."""
    published: Published | None = None
    """The answer to the envelope; None if this call fired nothing. After FULL the slot may be fired
    again."""
    is_other: bool = False
    """Whether nothing was fired because the schedule belongs to another spec now."""


class ScheduleStore(Protocol):
    """Tells the time, and keeps the last slot of each schedule."""

    async def time(self) -> float:
        """The broker's clock: Unix seconds."""
        ...

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """Enqueue the envelope of a slot and keep the slot as the last one, in one step.

        This happens if the last slot is `after`, or is not known. If it is another one, another
        scheduler has fired, and nothing happens. The schedule belongs to a spec until a minute
        after its `due`; then another spec may fire. A last slot that is more than a day ahead of
        the clock does not count. It is forgotten 30 days after `due`.
        """
        ...
