"""Showing states, results and times: as JSON, and as text for people."""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from rich.text import Text

from ltq.cli._console import Cell
from ltq.codec import DEFAULT_SERIALIZER
from ltq.logger import printable
from ltq.state import Priority, Progress, Status, TaskState, WorkerStatus

_STYLES = {
    Status.PENDING: "yellow",
    Status.DELAYED: "yellow",
    Status.WORKING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.REJECTED: "red",
    Status.CANCELLED: "magenta",
}

_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "json": msgspec.json.decode,
    "msgpack": msgspec.msgpack.decode,
}
"""What every program can read."""

_UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
"""The units of durations, in seconds."""

_SHOWN_ARGUMENTS = 1000
"""Most characters of a call's arguments that are shown; `--json` has all of them."""


class Encoded(NamedTuple):
    """A value as it is stored, and the name of the serializer that wrote it."""

    data: bytes
    serializer: str = DEFAULT_SERIALIZER


def state_json(state: TaskState[bytes], **more: Encoded | None) -> str:
    """Return the state as one line of JSON, with the result as the value that the task returned.

    `more` are other encoded values; see `json_value` for what cannot be read.
    """
    fields = {name: finite(value) for name, value in asdict(state).items()}
    fields["priority"] = state.priority.name.lower()
    result = None if state.result is None else Encoded(state.result, state.serializer)
    for name, value in {"result": result, **more}.items():
        fields[name] = None if value is None else json_value(*value)
    return json.dumps(fields)


def finite(value: Any) -> Any:
    """Return the value, or None for NaN and infinity, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(data: bytes, serializer: str = DEFAULT_SERIALIZER) -> bytes | None:
    """Return an encoded value as JSON; None if it was written by a serializer of a user's own."""
    if serializer == DEFAULT_SERIALIZER:
        return data
    if serializer != "msgpack":
        return None
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None


def json_value(data: bytes, serializer: str = DEFAULT_SERIALIZER) -> Any:
    """Return an encoded value for JSON.

    What cannot be read becomes an object with its `serializer` and its bytes as `base64`; what
    should be JSON and is not becomes a string with escapes.
    """
    text = as_json(data, serializer)
    if text is None:
        return {"serializer": serializer, "base64": b64encode(data).decode()}
    try:
        value = json.loads(text.decode())
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return result_text(text)
    return value


def result_text(
    data: bytes, limit: int | None = None, *, serializer: str = DEFAULT_SERIALIZER
) -> str:
    """Return an encoded value as JSON, cut after `limit` characters if a limit is given.

    What cannot be read becomes `b'...'`, with the name of its serializer.
    """
    known = as_json(data, serializer)
    if known is None:
        text = repr(data if limit is None else data[: limit + 1])
        shown = text if limit is None or len(data) <= limit else f"{text[:limit]}…"
        return f"{shown} ({len(data)} bytes of serializer {serializer})"
    text = known.decode("utf-8", "backslashreplace")
    return text if limit is None else cut(text, limit)


def shown_result(state: TaskState[bytes], limit: int | None = None) -> str:
    """Return the result of a task that has one, as `result_text` does."""
    return result_text(state.result or b"", limit, serializer=state.serializer)


def call_text(body: bytes, serializer: str = DEFAULT_SERIALIZER) -> str:
    """Return the arguments of a call, like `"a/b", depth=2`; other bodies as `result_text` does."""
    if serializer in _DECODERS:
        # What was published without a name may be MessagePack.
        for decode in _DECODERS.values():
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                match decode(body):
                    case [list(args), dict(kwargs)]:
                        named = [f"{name}={_plain(value)}" for name, value in kwargs.items()]
                        return ", ".join([*map(_plain, args), *named]) or "none"
    return result_text(body, serializer=serializer)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def cut(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def status_text(status: Status) -> Text:
    """Return the status in its colour."""
    return Text(status.value, style=_STYLES[status])


def worker_status_text(status: WorkerStatus) -> Text:
    """Return the status of a worker in its colour."""
    return Text(status.value, style="green" if status is WorkerStatus.ALIVE else "red")


def failure_text(state: TaskState[bytes]) -> str:
    """Return the line about a task that ended without completing."""
    reason = f": {state.error}" if state.error else ""
    return f"task {state.id} ended as {state.status}{reason}"


def progress_text(progress: Progress | None) -> str:
    """Return `"3/10 (30 %) note"`; an empty text for None."""
    if progress is None:
        return ""
    text = _number(progress.current)
    if progress.total is not None:
        text += f"/{_number(progress.total)}"
        if progress.total > 0:
            text += f" ({100 * progress.current / progress.total:.0f} %)"
    return f"{text} {progress.note}".rstrip()


def _number(number: float) -> str:
    return f"{round(number, 3):.15g}"


def state_fields(
    state: TaskState[bytes], now: float, body: Encoded | None = None
) -> list[tuple[str, Cell]]:
    """Return the names and values of a state's fields that have a value.

    `body` is the task's call, if it is known. `now` is by the broker's clock.
    """
    fields: Iterable[tuple[str, Cell | None]] = [
        ("id", state.id),
        ("task", state.task_name),
        ("queue", state.queue if state.queue != state.task_name else None),
        ("status", status_text(state.status)),
        ("priority", _unusual_priority(state.priority)),
        ("tags", ", ".join(state.tags) or None),
        ("due", moment_text(state.due_time, now)),
        ("arguments", None if body is None else cut(call_text(*body), _SHOWN_ARGUMENTS)),
        ("progress", progress_text(state.progress) or None),
        ("enqueued", moment_text(state.enqueue_time, now)),
        ("dequeued", moment_text(state.last_dequeue_time, now)),
        ("requeued", moment_text(state.last_requeue_time, now)),
        ("released", moment_text(state.release_time, now)),
        ("dequeues", str(state.dequeue_count)),
        ("requeues", str(state.requeue_count)),
        ("tries", str(state.tries) if state.tries else None),
        ("deaths", str(state.deaths) if state.deaths else None),
        ("timeout", None if state.timeout is None else f"{state.timeout:g} s"),
        ("worker", state.worker),
        ("result", None if state.result is None else shown_result(state)),
        ("error", None if state.error is None else Text(printable(state.error), style="red")),
    ]
    return [(name, value) for name, value in fields if value is not None]


def _unusual_priority(priority: Priority) -> str | None:
    return None if priority is Priority.NORMAL else priority.name.lower()


def state_since(state: TaskState[bytes]) -> float | None:
    """Return when a task came into its present state, if that is known."""
    if state.status.is_final:
        return state.release_time
    if state.status is Status.WORKING:
        return state.last_dequeue_time
    moments = (state.enqueue_time, state.last_requeue_time)
    return max((moment for moment in moments if moment is not None), default=None)


def since_text(state: TaskState[bytes], now: float) -> str:
    """Return how long a task has been waiting or running, or how long it took.

    `now` is by the broker's clock. The text is empty if it cannot be known.
    """
    if state.status is Status.DELAYED and state.due_time is not None:
        return f"due in {_duration_text(max(0.0, state.due_time - now))}"
    since = state_since(state)
    if since is None:
        return ""
    if not state.status.is_final:
        verb = "running" if state.status is Status.WORKING else "waiting"
        return f"{verb} {_duration_text(max(0.0, now - since))}"
    begin = state.last_dequeue_time
    return "" if begin is None else f"ran {_duration_text(max(0.0, since - begin))}"


def moment_text(time: float | None, now: float) -> str | None:
    """Return a time as local ISO time with its age."""
    if time is None:
        return None
    try:
        local = datetime.fromtimestamp(time).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(time)
    return f"{local.isoformat(timespec='milliseconds')} ({age_text(now - time)})"


def clock_text(time: float) -> str:
    """Return a time as a local clock shows it, like `"16:03:09"`."""
    try:
        return datetime.fromtimestamp(time).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(time)


def age_text(seconds: float) -> str:
    """Return `"3 min 2 s ago"`; `"in 3 min 2 s"` for a negative age."""
    length = _duration_text(abs(seconds))
    return f"{length} ago" if seconds >= 0 else f"in {length}"


def cut_left(text: str, width: int) -> str:
    """Return a text without its beginning if it is longer than `width` characters."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def brief_text(seconds: float) -> str:
    """Return a duration in its largest unit, without parts: `"0 s"`, `"12 s"`, `"3 min"`."""
    unit, length, _ = _largest_unit(seconds)
    return f"{max(0, int(seconds // length))} {unit}"


def measured_text(seconds: float) -> str:
    """Return a duration in its largest unit: `"0.31 ms"`, `"12 ms"`, `"4.5 s"`, `"3.2 min"`."""
    if seconds < 1.0:
        return f"{1e3 * seconds:.2g} ms" if seconds < 0.0995 else f"{1e3 * seconds:.0f} ms"
    unit, length, _ = _largest_unit(seconds)
    return f"{seconds / length:.1f} {unit}"


def _duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: `"5.1 s"`, `"3 min 2 s"`, `"5 h 12 min"`."""
    unit, length, smaller = _largest_unit(seconds)
    if smaller is None:
        return f"{seconds:.1f} {unit}"
    rest = int(seconds % length // _UNITS[smaller])
    return f"{int(seconds // length)} {unit} {rest} {smaller}"


def _largest_unit(seconds: float) -> tuple[str, float, str | None]:
    """Return the largest unit that fits in, its seconds, and the next smaller unit."""
    for (unit, length), smaller in zip(_UNITS.items(), [*_UNITS][1:], strict=False):
        if seconds >= length:
            return unit, length, smaller
    return "s", _UNITS["s"], None
