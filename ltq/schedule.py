"""A schedule: which task is sent when, and what happens to slots that were missed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import ceil, floor
from typing import Any, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from ltq._cron.expression import Cron, parse_cron
from ltq._declared import DeclaredTask
from ltq.message import Envelope, Message
from ltq.names import namespace_of
from ltq.task import Task

Misfire = Literal["once", "skip", "all"]
"""What happens to slots that were missed because no scheduler ran: one task for all of them, none,
or one task for each."""

Zone = str | ZoneInfo

MAX_MISSED = 1000
"""Most missed slots of a schedule that `misfire="all"` makes up for: the latest ones."""


class NeedsNoArguments(Protocol):
    """A task that may be called without arguments."""

    def message(self) -> Message[Any]:
        """A message without arguments."""
        ...


T = TypeVar("T", bound=NeedsNoArguments)


class ScheduleDecorator(Protocol):
    """What `@worker.cron(...)` returns: a decorator that returns its task unchanged."""

    def __call__(self, task: T, /) -> T: ...


class DueSlots(msgspec.Struct, frozen=True):
    """The slots of a schedule that are due. Slots are whole Unix seconds."""

    fired: tuple[int, ...]
    """The slots to enqueue, in order."""
    passed: int | None = None
    """The last missed slot, if nothing is to be enqueued; else None."""
    missed_since: int | None = None
    """The first missed slot; None if none was missed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task that is enqueued at the slots of a cron expression."""

    name: str
    expr: str
    """The cron expression."""
    zone: tzinfo
    """The time zone of the expression."""
    misfire: Misfire
    task: Task[..., Any]
    message: Message[Any] | None
    """What is sent; None for a new message without arguments at each slot."""
    _cron: Cron = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cron", parse_cron(self.expr, self.zone))

    @property
    def tz(self) -> str:
        """The name of the time zone."""
        return self._cron.zone_name

    @property
    def spec(self) -> str:
        """What the schedule says, as text. For the broker, another text is another schedule."""
        return f"{self.expr} {self.tz} {self.task.name}"

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the schedule: its namespace and its name."""
        return namespace_of(self.task.queue), self.name

    def next(self, after: int) -> int:
        """The first slot later than `after`, both in Unix seconds."""
        return self._cron.next(after)

    def iterate(self, after: int) -> Iterator[int]:
        """The slots later than `after`, in order; they never end."""
        return self._cron.iterate(after)

    def envelope(self, slot: int) -> Envelope:
        """The envelope of a slot's task, with the same id in every process."""
        stamp = datetime.fromtimestamp(slot, UTC).strftime("%Y%m%dT%H%M%SZ")
        message = self.task.message() if self.message is None else self.message
        return DeclaredTask.of(self.task).envelope(message, f"{self.name}:{stamp}")

    def due(self, after: int, now: float, grace: float) -> DueSlots:
        """The slots later than `after` that are due at `now`, both in Unix seconds.

        Slots that are older than `grace` seconds count as missed.
        """
        until, first = floor(now), self._cron.next(after)
        limit = ceil(now - grace) - 1
        missed = first if first <= limit else None
        if first > until:
            return DueSlots(())
        if self.misfire == "all":
            return DueSlots(tuple(self._cron.latest(after, until, MAX_MISSED)), None, missed)
        if missed is None:
            return DueSlots(tuple(self._cron.latest(after, until, MAX_MISSED)))
        if self.misfire == "once":
            return DueSlots(tuple(self._cron.latest(after, until, 1)), None, missed)
        fired = tuple(self._cron.latest(max(after, limit), until, MAX_MISSED))
        passed = None if fired else self._cron.latest(after, until, 1)[0]
        return DueSlots(fired, passed, missed)
