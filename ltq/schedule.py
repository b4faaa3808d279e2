"""A schedule: what is sent when, and what becomes of slots that were missed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from typing import Any, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

from ltq._cron.expression import Cron
from ltq._names import namespace_of
from ltq.message import Envelope, Message
from ltq.task import Task

Misfire = Literal["once", "skip", "all"]
"""What becomes of slots that nobody was there to see to: one run for all of them, none, or one
each."""

Zone = str | ZoneInfo

MAX_MISSED = 1000
"""DueSlots of one schedule that are made up for at most, with `misfire="all"`: the latest."""


class NeedsNoArguments(Protocol):
    """A task that may be called without arguments."""

    def message(self) -> Message[Any]:
        """A call without arguments."""
        ...


T = TypeVar("T", bound=NeedsNoArguments)


class ScheduleDecorator(Protocol):
    """What `@worker.cron(...)` does to a task: it stays what it is."""

    def __call__(self, task: T, /) -> T: ...


@dataclass(frozen=True, slots=True)
class DueSlots:
    """The slots of a schedule that are due."""

    fired: tuple[int, ...]
    """Those to be enqueued, in order."""
    passed: int | None = None
    """The one up to which all were missed, where none is to be enqueued."""
    missed_since: int | None = None
    """The first one that was missed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task that is enqueued at the slots of a cron expression."""

    name: str
    cron: Cron
    misfire: Misfire
    task: Task[..., Any]
    message: Message[Any] | None
    """None: one without arguments is made when it is needed."""

    @property
    def spec(self) -> str:
        """What makes it this schedule to the broker: with another one it has no past."""
        return f"{self.cron.expression} {self.cron.zone_name} {self.task.name}"

    @property
    def key(self) -> tuple[str, str]:
        """What no other schedule has."""
        return namespace_of(self.task.queue), self.name

    def envelope(self, slot: int) -> Envelope:
        """The task of a slot, under the same id in every process."""
        stamp = datetime.fromtimestamp(slot, UTC).strftime("%Y%m%dT%H%M%SZ")
        message = self.task.message() if self.message is None else self.message
        return self.task.envelope_of(message, f"{self.name}:{stamp}")

    def due(self, after: int, now: float, grace: float) -> DueSlots:
        """The slots later than `after` that are due. Those older than `grace` were missed."""
        until, first = floor(now), self.cron.next(after)
        limit = ceil(now - grace) - 1
        late = first if first <= limit else None
        if first > until:
            return DueSlots(())
        if self.misfire == "all":
            return DueSlots(tuple(self.cron.latest(after, until, MAX_MISSED)), None, late)
        if late is None:
            return DueSlots(tuple(self.cron.latest(after, until, MAX_MISSED)))
        if self.misfire == "once":
            return DueSlots(tuple(self.cron.latest(after, until, 1)), None, late)
        fired = tuple(self.cron.latest(max(after, limit), until, MAX_MISSED))
        passed = None if fired else self.cron.latest(after, until, 1)[0]
        return DueSlots(fired, passed, late)
