"""A schedule: which task is sent when, and what happens to slots that were missed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import ceil, floor
from typing import Any, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from ltq._cron.expression import Cron, Steps, finish, parse_cron
from ltq.message import Message
from ltq.names import namespace_of
from ltq.task import Task

Misfire = Literal["once", "skip", "all"]
"""What happens to slots that were missed because no scheduler ran: one task for all of them, none,
or one task for each."""

Zone = str | ZoneInfo

MAX_MISSED = 1000
"""Most missed slots of a schedule that `misfire="all"` makes up for: the latest ones."""


Origin = Literal["code", "put"]
"""Where a schedule is from: a declaration in code, or `Scheduler.put`."""


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule of a broker, and what it did last and does next. Times are Unix seconds."""

    name: str
    expr: str
    tz: str
    task_name: str
    paused: bool
    last: float | None
    """Its last slot that sent a task, in any scheduler; None if none has."""
    next: float | None
    """Its next slot from now on; None while it is paused."""
    origin: Origin
    misfire: Misfire | None
    """None for one that only the code of another process declares."""


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

    def task_id(self, slot: int) -> str:
        """The id of a slot's task: the same in every process."""
        return slot_id(self.name, slot)

    def due(self, after: int, now: float, grace: float) -> DueSlots:
        """The slots later than `after` that are due at `now`, both in Unix seconds.

        Slots that are older than `grace` seconds count as missed.
        """
        return finish(self.search_due(after, now, grace))

    def search_due(self, after: int, now: float, grace: float) -> Steps[DueSlots]:
        """`due` in steps, because there may be many slots."""
        return search_due(self._cron, self.misfire, after, now, grace)


def slot_id(name: str, slot: int) -> str:
    """The id of the task of a schedule's slot."""
    return f"{name}:{datetime.fromtimestamp(slot, UTC).strftime('%Y%m%dT%H%M%SZ')}"


class Instants(Protocol):
    """The instants of a cron expression, in whole Unix seconds."""

    def next(self, after: int) -> int:
        """The first instant later than `after`."""
        ...

    def search(self, after: int, until: int, count: int) -> Steps[list[int]]:
        """The last `count` instants later than `after` and not after `until`, in steps."""
        ...


def search_due(
    cron: Instants, misfire: Misfire, after: int, now: float, grace: float
) -> Steps[DueSlots]:
    """`Schedule.due` for any expression, in steps."""
    until, first = floor(now), cron.next(after)
    limit = ceil(now - grace) - 1
    missed = first if first <= limit else None
    if first > until:
        return DueSlots(())
    if misfire == "all" or missed is None:
        fired = yield from cron.search(after, until, MAX_MISSED)
        return DueSlots(tuple(fired), None, missed)
    if misfire == "once":
        fired = yield from cron.search(after, until, 1)
        return DueSlots(tuple(fired), None, missed)
    fired = yield from cron.search(max(after, limit), until, MAX_MISSED)
    passed = None if fired else (yield from cron.search(after, until, 1))[0]
    return DueSlots(tuple(fired), passed, missed)
