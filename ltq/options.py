"""The typed options of tasks and of sends. They are checked once, when they are given."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, cast, get_args

import msgspec
from typing_extensions import TypedDict

from ltq._display.suggestions import suggestion
from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.names import check_name, check_tags
from ltq.state import Priority as Priority

PriorityName = Literal["high", "normal", "low"]
OnFull = Literal["raise", "wait"]
Seconds = float | timedelta
"""A duration: a `timedelta`, or seconds."""

Backoff = Seconds | Callable[[int], float]
"""The pause before the next try: the base of the exponential backoff (0: no pause), or a function
that takes the number of failed tries so far (from 1) and returns seconds."""

RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]
"""Which errors are retried: a type, types, or a predicate."""

DEFAULT_RESULT_TTL = 3600.0
"""Seconds a final state is kept."""

DEFAULT_MAX_DELIVERIES = 5
"""How many workers may die while they run a task before it is rejected."""

DEFAULT_FULL_TIMEOUT = 30.0
"""Seconds that `send` waits for room, with `on_full="wait"`."""

DEAD_TTL = 7 * 86400
"""Seconds a dead letter is kept."""

MAX_DEAD = 10_000
"""Most dead letters that a queue keeps; the oldest are removed first."""

MAX_FINAL = 10_000
"""Most final tasks of a queue that are listed: the newest whose states are kept."""

MAX_COUNT = 2**31 - 1  # the integers of servers end there
MAX_SECONDS = 100 * 365.25 * 86400
"""A century. A longer duration is a mistake of units, and exceeds the integers of servers."""

SERVED_TTL = 86400
"""Seconds for which a broker remembers a lane that no live consumer serves any more."""


class TaskOptions(TypedDict, total=False, closed=True):
    """Options of `@worker.task(...)`."""

    name: str
    """Name within the worker; default: the function's `__name__`."""
    aliases: tuple[str, ...] | list[str]
    """Former names: messages that were sent under them run as this task."""
    queue: str
    """Queue to wait in; default: the task's own, `{worker}:{name}`."""
    max_tries: int
    """How many runs may fail in all before the task is FAILED."""
    backoff: Backoff
    retry_on: RetryOn
    max_age: timedelta | float
    """Reject the task if it starts later than this after it was sent."""
    max_rate: str
    """Most starts by all workers together: "N/s", "N/m" or "N/h"."""
    timeout: timedelta | float
    """How long one run may take."""
    result_ttl: timedelta | float
    """How long the final state is kept; 0 removes it at once."""
    priority: PriorityName
    max_running: int
    """How many may run at once in all workers together."""
    max_pending: int
    """`send` raises `QueueFullError` while this many tasks wait in the queue."""
    on_full: OnFull
    """What `send` does when the queue is full: "raise", or "wait" for room."""
    full_timeout: timedelta | float
    """How long `send` waits for room before it raises; default: 30 s."""
    unique_for: timedelta | float
    """For this long, a `send` with the same arguments returns a handle of the first task."""
    max_deliveries: int
    """How many workers may die in a row while they run the task before it is rejected."""
    tags: tuple[str, ...] | list[str]
    """Short texts to find its tasks by, at most 16; a send may add others."""
    keep_body: bool
    """Whether its arguments are kept with its final state; default: if it failed or is rejected."""
    max_items: int
    """How many items of a stream are kept, 10 000 by default: the oldest go first."""


class SendOptions(TypedDict, total=False, closed=True):
    """Options of `task.with_options(...)`, for tasks that are sent through it."""

    id: str
    """An id of your own. If a task has it already, nothing is enqueued."""
    delay: timedelta | float
    eta: datetime
    priority: PriorityName
    timeout: timedelta | float
    max_tries: int
    result_ttl: timedelta | float
    on_full: OnFull
    full_timeout: timedelta | float
    unique_for: timedelta | float
    tags: tuple[str, ...] | list[str]
    """Short texts to find the task by, in addition to those that it declares."""
    keep_body: bool
    max_items: int
    connection: object
    """A connection of your own: the task is there if and only if its transaction commits."""


class Rate(msgspec.Struct, frozen=True):
    """At most `count` starts in `period` seconds."""

    count: float
    period: float

    @property
    def interval(self) -> float:
        """Seconds between two starts."""
        return self.period / self.count

    @property
    def burst(self) -> int:
        """How many may start at once: as many as in 0.1 s, at least one."""
        return max(1, int(self.count / self.period * 0.1))


class Limit(msgspec.Struct, frozen=True):
    """How many tasks of a lane all workers together may start and run."""

    rate: Rate | None = None
    running: int | None = None
    """How many may run at once."""


class TaskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The checked options of a task, `task.config`. All durations are seconds."""

    aliases: tuple[str, ...] = ()
    """Former names within the worker."""
    queue: str | None = None
    max_tries: int | None = None
    backoff: Backoff | None = None
    retry_on: RetryOn | None = None
    max_age: float | None = None
    max_rate: Rate | None = None
    timeout: float | None = None
    result_ttl: float | None = None
    priority: Priority = Priority.NORMAL
    max_running: int | None = None
    max_pending: int | None = None
    max_deliveries: int | None = None
    on_full: OnFull = "raise"
    full_timeout: float = DEFAULT_FULL_TIMEOUT
    unique_for: float | None = None
    tags: tuple[str, ...] = ()
    keep_body: bool | None = None
    max_items: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether starts are limited. If so, the task waits in a lane of its own."""
        return self.max_rate is not None or self.max_running is not None


class SendConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The checked options of one send; None where nothing was said. Durations are seconds, times
    Unix seconds."""

    id: str | None = None
    delay: float | None = None
    eta: float | None = None
    priority: Priority | None = None
    timeout: float | None = None
    max_tries: int | None = None
    result_ttl: float | None = None
    on_full: OnFull | None = None
    full_timeout: float | None = None
    unique_for: float | None = None
    tags: tuple[str, ...] | None = None
    keep_body: bool | None = None
    max_items: int | None = None

    def over(self, others: "SendConfig") -> "SendConfig":
        """These options, and for those that they do not say, `others`.

        `delay` and `eta` are two ways to say one thing: either replaces both of the others.
        """
        if others == _NOTHING_SAID:
            return self
        own = msgspec.structs.asdict(self)
        said = {name: value for name, value in own.items() if value is not None}
        if "delay" in said or "eta" in said:
            others = msgspec.structs.replace(others, delay=None, eta=None)
        return msgspec.structs.replace(others, **said)


_NOTHING_SAID = SendConfig()


def _fail(option: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{option}={short_repr(value)} is not allowed: {allowed}")


def seconds(option: str, value: object, *, zero: bool = False) -> float:
    """A duration in seconds, from a `timedelta` or a number; `zero` says whether 0 is allowed.

    Raises `ConfigurationError`, which names the option.
    """
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, float):
        number = value
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SECONDS:
        number = float(value)
    else:
        number = math.nan
    if (number > 0 or (zero and number == 0)) and number <= MAX_SECONDS:
        return number
    bound = "0 or more" if zero else "more than 0"
    raise _fail(option, value, f"a timedelta or seconds, {bound}, at most a century")


def check_wait(timeout: object) -> None:
    """Raise `ConfigurationError` for what is not the `timeout` of a wait: seconds, or None."""
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout == timeout):  # NaN is not itself
        raise _fail("timeout", timeout, "seconds, or None to wait without a limit")


def positive_int(option: str, value: object) -> int:
    """A whole number from 1 to `MAX_COUNT`. Raises `ConfigurationError`, which names the option."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COUNT:
        return value
    raise _fail(option, value, f"a whole number, 1 or more, at most {MAX_COUNT}")


_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([smh])\s*", re.ASCII | re.IGNORECASE)
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def rate(option: str, value: object) -> Rate:
    """A rate from "N/s", "N/m" or "N/h". Raises `ConfigurationError`, which names the option."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    count = float(match[1]) if match is not None else 0.0
    if match is None or not 0 < count <= 1e6 or _PERIODS[match[2].lower()] > count * MAX_SECONDS:
        raise _fail(option, value, 'a text like "10/s", "100/m" or "1000/h", more than 0')
    return Rate(count, _PERIODS[match[2].lower()])


def _priority(option: str, value: object) -> Priority:
    names = get_args(PriorityName)
    if value in names:
        return Priority(names.index(value))
    raise _fail(option, value, " or ".join(f'"{name}"' for name in names))


def _on_full(option: str, value: object) -> OnFull:
    if value in get_args(OnFull):
        return cast(OnFull, value)
    raise _fail(option, value, '"raise" or "wait"')


def _eta(option: str, value: object) -> float:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC).timestamp()
    raise _fail(option, value, "a datetime with a time zone")


def _backoff(option: str, value: object) -> Backoff:
    """Check a backoff. A function is called once, to find out now whether it returns a duration."""
    if not callable(value):
        return seconds(option, value, zero=True)
    try:
        called_backoff(value, 1)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{option}: called with 1, the number of failed tries, it raised {error!r}; "
            "seconds, 0 or more, are allowed"
        ) from error
    return cast(Backoff, value)


def called_backoff(backoff: Callable[[int], object], failed: int) -> float:
    """The pause in seconds that a function returns after `failed` tries.

    Raises `ConfigurationError` if it does not return a duration.
    """
    pause = backoff(failed)
    if isinstance(pause, int | float) and 0 <= pause <= MAX_SECONDS:
        return float(pause)
    raise _fail(f"backoff({failed})", pause, "seconds, 0 or more, at most a century")


def _retry_on(option: str, value: object) -> RetryOn:
    types = value if isinstance(value, tuple) and value else (value,)
    if all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
        return cast(RetryOn, types)
    if callable(value) and not isinstance(value, type):
        return cast(RetryOn, value)
    raise _fail(option, value, "an exception type, a tuple of them, or a predicate")


_Check = Callable[[str, object], Any]


_duration: _Check = seconds
_duration_or_zero: _Check = partial(seconds, zero=True)


def _flag(option: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _fail(option, value, "True or False")


def _aliases(option: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, tuple | list):
        raise _fail(option, value, 'a tuple of names, such as ("old_name",)')
    names = tuple(check_name("task", name) for name in value)
    if len(set(names)) < len(names):
        raise _fail(option, value, "each name once")
    return names


_TASK_CHECKS: dict[str, _Check] = {
    "aliases": _aliases,
    "queue": lambda _, value: check_name("queue", value),
    "max_tries": positive_int,
    "backoff": _backoff,
    "retry_on": _retry_on,
    "max_age": _duration,
    "max_rate": rate,
    "timeout": _duration,
    "result_ttl": _duration_or_zero,
    "priority": _priority,
    "max_running": positive_int,
    "max_pending": positive_int,
    "max_deliveries": positive_int,
    "on_full": _on_full,
    "full_timeout": _duration_or_zero,
    "unique_for": _duration,
    "tags": lambda _, value: check_tags(value),
    "keep_body": _flag,
    "max_items": positive_int,
}
_SEND_CHECKS: dict[str, _Check] = {
    "id": lambda _, value: check_name("task id", value),
    "delay": _duration_or_zero,
    "eta": _eta,
    "connection": lambda _, value: value,  # the broker checks it
    **{name: _TASK_CHECKS[name] for name in ("priority", "timeout", "max_tries", "result_ttl")},
    **{name: _TASK_CHECKS[name] for name in ("on_full", "full_timeout", "unique_for", "tags")},
    **{name: _TASK_CHECKS[name] for name in ("keep_body", "max_items")},
}

_OTHER_PLACES = {"task": "with_options(...)", "send": "@worker.task(...)"}
"""Where the options belong that are not of this kind."""


def _checked(kind: str, checks: dict[str, _Check], options: Mapping[str, object]) -> dict[str, Any]:
    unknown = [option for option in options if option not in checks]
    if unknown:
        allowed = sorted([*checks, "name"]) if kind == "task" else sorted(checks)
        elsewhere = dict.fromkeys({*_TASK_CHECKS, *_SEND_CHECKS, "name"}, _OTHER_PLACES[kind])
        raise ConfigurationError(
            f"unknown {kind} option {unknown[0]!r}: {suggestion(unknown[0], allowed, elsewhere)}"
            f"allowed are {', '.join(allowed)}"
        )
    return {option: checks[option](option, value) for option, value in options.items()}


def parse_task_options(options: Mapping[str, object]) -> TaskConfig:
    """Check the options of `@worker.task(...)` except `name`. Raises `ConfigurationError`."""
    config = TaskConfig(**_checked("task", _TASK_CHECKS, options))
    for option in ("on_full", "full_timeout"):
        if option in options and config.max_pending is None:
            raise ConfigurationError(f"{option} needs max_pending: give both")
    return config


def parse_send_options(options: Mapping[str, object]) -> SendConfig:
    """Check the options of `with_options`. Raises `ConfigurationError`."""
    if "delay" in options and "eta" in options:
        raise ConfigurationError("delay and eta exclude each other: give one of them")
    checked = _checked("send", _SEND_CHECKS, options)
    checked.pop("connection", None)  # it does not travel
    return SendConfig(**checked)
