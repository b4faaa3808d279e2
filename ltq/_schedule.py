"""A schedule: what is sent when, and what becomes of slots that were missed."""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from typing import Any, Literal, Protocol, TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from ltq._cron import Cron, parse_cron
from ltq._names import check_name, namespace_of
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Message
from ltq.task import Task

Misfire = Literal["once", "skip", "all"]
"""What becomes of slots that nobody was there to see to: one run for all of them, none, or one
each."""

Zone = str | ZoneInfo

MAX_MISSED = 1000
"""Slots of one schedule that are made up for at most, with `misfire="all"`: the latest."""

_LONGEST_NAME = 180
"""So that the id of a slot's task is a valid one."""


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
class Slots:
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

    def due(self, after: int, now: float, grace: float) -> Slots:
        """The slots later than `after` that are due. Those older than `grace` were missed."""
        until, first = floor(now), self.cron.next(after)
        limit = ceil(now - grace) - 1
        late = first if first <= limit else None
        if first > until:
            return Slots(())
        if self.misfire == "all":
            return Slots(tuple(self.cron.latest(after, until, MAX_MISSED)), None, late)
        if late is None:
            return Slots(tuple(self.cron.latest(after, until, MAX_MISSED)))
        if self.misfire == "once":
            return Slots(tuple(self.cron.latest(after, until, 1)), None, late)
        fired = tuple(self.cron.latest(max(after, limit), until, MAX_MISSED))
        passed = None if fired else self.cron.latest(after, until, 1)[0]
        return Slots(fired, passed, late)


def schedule_message(
    expression: str,
    message: Message[Any],
    *,
    name: str | None,
    tz: object,
    misfire: str,
) -> Schedule:
    """A schedule of a message. Raises `ConfigurationError`."""
    origin = getattr(message, "origin", None)
    if not isinstance(origin, Task):
        raise ConfigurationError(
            f"message {_shown(message)} is not allowed: one made by task.message(...)"
        )
    for option in ("id", "eta"):
        if getattr(message.options, option) is not None:
            raise ConfigurationError(
                f"{option} is not allowed in a schedule: each of its slots is a task of its own"
            )
    body = message.body or b""
    return _schedule(expression, origin, message, name=name, tz=tz, misfire=misfire, body=body)


def schedule_tasks(
    tasks: Mapping[str, Task[..., Any]],
    schedules: list[Schedule],
    expression: str,
    *,
    name: str | None,
    tz: object,
    misfire: str,
) -> ScheduleDecorator:
    """A decorator that adds schedules of those tasks. Raises `ConfigurationError`."""
    parse_cron(expression, tz)
    check_misfire(misfire)

    def decorate(task: T) -> T:
        schedule = _schedule_task(expression, task, name=name, tz=tz, misfire=misfire)
        if schedule.task.name not in tasks:
            raise ConfigurationError(f"task {schedule.task.name!r} is another worker's")
        schedules.append(schedule)
        return task

    return decorate


def _schedule_task(
    expression: str, task: object, *, name: str | None, tz: object, misfire: str
) -> Schedule:
    """A schedule of a task without arguments."""
    if not isinstance(task, Task):
        raise ConfigurationError(
            f"{_shown(task)} is no task: put @worker.cron(...) above @worker.task"
        )
    try:
        inspect.signature(task.fn).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"task {task.name!r} needs arguments ({error}): give them with "
            "Scheduler.cron(expression, task.message(...))"
        ) from error
    return _schedule(expression, task, None, name=name, tz=tz, misfire=misfire, body=b"")


def check_misfire(misfire: object) -> Misfire:
    """Return a policy if it is one, else raise `ConfigurationError`."""
    if misfire in get_args(Misfire):
        return cast(Misfire, misfire)
    raise ConfigurationError(f'misfire={_shown(misfire)} is not allowed: "once", "skip" or "all"')


def _schedule(
    expression: str,
    task: Task[..., Any],
    message: Message[Any] | None,
    *,
    name: str | None,
    tz: object,
    misfire: str,
    body: bytes,
) -> Schedule:
    cron = parse_cron(expression, tz)
    if name is None:
        said = f"{cron.expression} {cron.zone_name}\n".encode() + body
        name = f"{task.name}:{hashlib.sha256(said).hexdigest()[:8]}"
    if len(check_name("schedule", name)) > _LONGEST_NAME:
        raise ConfigurationError(
            f"schedule name {_shown(name)} is not allowed: at most {_LONGEST_NAME} characters"
        )
    return Schedule(name, cron, check_misfire(misfire), task, message)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
