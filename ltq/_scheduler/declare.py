"""Making schedules from messages and tasks, checked when they are declared."""

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args

import msgspec

from ltq._cron.expression import parse_cron
from ltq._declared import DeclaredTask
from ltq._display.values import short_repr
from ltq._sender.prepared import PreparedMessage
from ltq.broker.checks import LONGEST_SCHEDULE
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.names import check_name
from ltq.options import SendConfig
from ltq.schedule import Misfire, NeedsNoArguments, Schedule, ScheduleDecorator
from ltq.task import Task

T = TypeVar("T", bound=NeedsNoArguments)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When a schedule fires, as the user declared it; `name` is the schedule's."""

    expr: str
    name: str | None
    tz: object
    misfire: str


def schedule_message(timing: Timing, message: Message[Any]) -> Schedule:
    """A schedule of a message.

    Raises `ConfigurationError`, and `InvalidArgumentsError` for a copy with wrong arguments.
    """
    task = message.task if isinstance(message, PreparedMessage) else None
    if not isinstance(message, PreparedMessage) or not isinstance(task, Task):
        raise ConfigurationError(
            f"message {short_repr(message)} is not allowed: it must be made by task.message(...)"
        )
    _check_options(message.options)
    body = message.body
    if body is None:  # a copy with other arguments
        body = DeclaredTask.of(task).codec.encode_call(message.args, message.kwargs)
    return _schedule(timing, task, message, body)


def schedule_tasks(
    timing: Timing, tasks: Mapping[str, Task[..., Any]], schedules: list[Schedule]
) -> ScheduleDecorator:
    """A decorator that adds a schedule of one of `tasks` to `schedules`.

    Raises `ConfigurationError` for a wrong timing, and the decorator for a wrong task.
    """
    parse_cron(timing.expr, timing.tz)
    check_misfire(timing.misfire)

    def decorate(task: T) -> T:
        schedule = _schedule_task(timing, task)
        if schedule.task.name not in tasks:
            raise ConfigurationError(f"task {schedule.task.name!r} belongs to another worker")
        schedules.append(schedule)
        return task

    return decorate


def check_schedule_name(name: object) -> str:
    """Return `name` if it is a valid name of a schedule, else raise `ConfigurationError`."""
    if len(str(name)) > LONGEST_SCHEDULE:
        raise ConfigurationError(
            f"schedule name {short_repr(name)} is not allowed: "
            f"at most {LONGEST_SCHEDULE} characters"
        )
    return check_name("schedule", name, longest=LONGEST_SCHEDULE)


def check_misfire(misfire: object) -> Misfire:
    """Return `misfire` if it is a misfire policy, else raise `ConfigurationError`."""
    if misfire in get_args(Misfire):
        return cast(Misfire, misfire)
    raise ConfigurationError(
        f'misfire={short_repr(misfire)} is not allowed: "once", "skip" or "all"'
    )


def _schedule_task(timing: Timing, task: object) -> Schedule:
    """A schedule of a task without arguments."""
    if not isinstance(task, Task):
        raise ConfigurationError(
            f"{short_repr(task)} is not a task: put @worker.cron(...) above @worker.task"
        )
    try:
        inspect.signature(task.fn).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"task {task.name!r} needs arguments ({error}): give them with "
            "Scheduler.cron(expression, task.message(...))"
        ) from error
    _check_options(task.message().options)
    return _schedule(timing, task, None, b"")


def _check_options(options: SendConfig) -> None:
    """Raise `ConfigurationError` for options that a task of a slot cannot have."""
    for option in ("id", "eta"):
        if getattr(options, option) is not None:
            raise ConfigurationError(
                f"{option} is not allowed in a schedule: each of its slots is a task of its own"
            )


def _schedule(
    timing: Timing, task: Task[..., Any], message: Message[Any] | None, body: bytes
) -> Schedule:
    cron = parse_cron(timing.expr, timing.tz)
    name = timing.name
    if name is None:
        spec = f"{cron.expression} {cron.zone_name}\n".encode() + body
        name = _default_name(task.name, spec)
    check_schedule_name(name)
    misfire = check_misfire(timing.misfire)
    return Schedule(name, cron.expression, cron.zone, misfire, task, message)


def _default_name(task_name: str, spec: bytes) -> str:
    """A name for a schedule that was given none. A long name of its task is cut."""
    name = f"{task_name}:{hashlib.sha256(spec).hexdigest()[:8]}"
    if len(name) <= LONGEST_SCHEDULE:
        return name
    digest = hashlib.sha256(f"{task_name}\n".encode() + spec).hexdigest()[:16]
    return f"{task_name[: LONGEST_SCHEDULE - 17]}:{digest}"
