"""Moving tasks and schedules to another store: read, taken over there, then dropped here."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ltq.broker.schedules import ScheduleRecord
from ltq.message import Envelope, Failure, Published
from ltq.state import Status

ADOPTED_TTL = 86400
"""Seconds for which a store remembers which tasks it took over from another one."""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits, or a dead letter, with all that is known of it. Times are Unix seconds."""

    envelope: Envelope
    """As sent, or as a retry has changed it; without its delay, and with the fingerprint only if
    `unique_until` says more."""
    status: Status
    """PENDING or DELAYED; of a dead letter FAILED or REJECTED."""
    when: float = 0.0
    """DELAYED: when it is due. Of a dead letter, when it died."""
    unique_until: float = 0.0
    """Until when no other task with its fingerprint is enqueued; 0 if there may be one."""
    enqueue_time: float
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    dequeue_count: int = 0
    requeue_count: int = 0
    tries: int = 0
    """How many runs failed, the last one of a FAILED task included."""
    deaths: int = 0
    worker: str | None = None
    """The last worker that held it."""
    failure: Failure | None = None
    """The error of its last run, or why it was rejected."""

    @property
    def is_dead(self) -> bool:
        """Whether it is a dead letter."""
        return self.status.is_dead

    @property
    def sent(self) -> str:
        """When it was sent, as text: with its id it tells it from all other tasks."""
        return f"{self.enqueue_time:.6f}"

    @property
    def died(self) -> str:
        """When it died, as text, as `sent`."""
        return f"{self.when:.6f}"

    @property
    def mark(self) -> str:
        """What a store remembers of it, as a fingerprint, when it has taken it over."""
        moment = f"died/{self.died}" if self.is_dead else f"sent/{self.sent}"
        return f"moved/{moment}/{self.envelope.id}"


class Mover(Protocol):
    """Hands tasks and schedules to another store, and takes them over.

    A task is packed here, adopted there and then dropped here, so that it is never nowhere. Each
    of these calls may be repeated, alone or all from the beginning: a task that is there already is
    not taken over again. While tasks are moved their queue has to be paused here. Each call raises
    `ConfigurationError` for what is no name of a queue, or no id.
    """

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        """Tasks of a queue as they are; None for one that does not wait there. Nothing is changed.

        The answers are in the order of `ids`.
        """
        ...

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        """Dead letters of a queue as they are; None where there is none, or one without a body."""
        ...

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        """Take over what another store has packed. The answers are in order.

        CREATED: it waits here now, behind the others of its lane, or is due when it was there, or
        is a dead letter here. It keeps all that a `Parcel` has; but if another task with its
        fingerprint was sent here, that one stays the first. EXISTS: it was taken over before,
        within `ADOPTED_TTL` seconds, or is still known; of a dead letter also, that there is one of
        a later death. ID_CONFLICT: another task has its id, so nothing was done. `max_pending` does
        not apply.
        """
        ...

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        """Remove what was packed and is elsewhere now, for good. Returns the ids of what stays.

        That is a task that was claimed since it was packed. For those who watch it, a task that is
        dropped does not exist any more. If it comes back from there, it is taken over again.
        """
        ...

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        """Keep a schedule as another store kept it: with its last slot, and paused if it was.

        `record` is what `schedules` told there, of one that was put, and `due` the first slot after
        its last one. Returns whether it is kept. False: another one with this name was put here, or
        schedulers that run declare it in their code; then nothing was changed. If it goes on here
        already, it goes on as it does; if it is paused here, it is as `record` says from now on.
        """
        ...
