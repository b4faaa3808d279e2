"""Slots of schedules at the broker's seam: each is fired once, whoever comes first."""

from typing import Protocol

import msgspec

from ltq.message import Envelope, Published


class ScheduleSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a schedule. Slots are whole Unix seconds."""

    schedule: str
    """Its name, unique in the namespace of its queue."""
    queue: str
    spec: str
    """Text of what the schedule says. With another one it is another schedule, without a past."""
    after: int | None = None
    """The slot that is kept, as far as the caller knows. None: nothing is fired; the slot kept is
    asked for, and a schedule without one begins now."""
    slot: int = 0
    due: int
    """When the next slot after that is due."""
    envelope: Envelope | None = None
    """What is enqueued; None: the slot passes."""


class SlotReceipt(msgspec.Struct, frozen=True):
    """What became of a slot."""

    last: int
    """The slot that is kept now."""
    published: Published | None = None
    """The answer to the envelope; None if this call fired nothing. FULL: the slot is not kept."""
    is_other: bool = False
    """Whether the schedule belongs to another spec now, so that nothing was fired."""


class ScheduleStore(Protocol):
    """Keeps the time, and the last slot of each schedule."""

    async def time(self) -> float:
        """The broker's clock: Unix seconds."""
        ...

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """Enqueue the envelope of a slot and keep the slot, in one step, where `after` is kept.

        Where another slot is kept, somebody else was here: nothing happens. Where none is kept,
        `after` is believed. A spec keeps the schedule until a minute after its `due`, then another
        spec may fire. A slot kept that is more than a day ahead of the clock counts as none. What
        is kept is forgotten 30 days after `due`.
        """
        ...
