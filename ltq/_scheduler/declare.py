"""Schedules made of messages and tasks, checked where they are declared."""

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args

from ltq._cron.expression import parse_cron
from ltq._names import check_name
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.schedule import Misfire, NeedsNoArguments, Schedule, ScheduleDecorator
from ltq.task import Task

T = TypeVar("T", bound=NeedsNoArguments)

_LONGEST_NAME = 180
"""So that the id of a slot's task is a valid one."""


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
