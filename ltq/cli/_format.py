"""Showing states, results and times: as JSON, and as text for people."""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from ltq.cli._console import Cell
from ltq.logger import printable
from ltq.state import Progress, Status, TaskState

_STYLES = {
    Status.PENDING: "yellow",
    Status.DELAYED: "yellow",
    Status.WORKING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.REJECTED: "red",
    Status.CANCELLED: "magenta",
}


_SHOWN_ARGUMENTS = 1000
"""Most characters of a call's arguments that are shown; `--json` has all of them."""


def state_json(state: TaskState[bytes], **more: bytes | None) -> str:
    """Return the state as one line of JSON, with the result as the value that the task returned.

    `more` are other encoded values. One that is not JSON (`serializer="msgpack"`) becomes a string
    with escapes.
    """
    fields = {name: finite(value) for name, value in asdict(state).items()}
    for name, value in {"result": state.result, **more}.items():
        fields[name] = None if value is None else json_value(value)
    return json.dumps(fields)


def finite(value: Any) -> Any:
    """Return the value, or None for NaN and infinity, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_value(result: bytes) -> Any:
    """Return the value of JSON bytes, or other bytes as text."""
    try:
        value = json.loads(result.decode())
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return result_text(result)
    return value


def result_text(result: bytes, limit: int | None = None) -> str:
    """Return the result as it is stored, cut after `limit` characters if a limit is given."""
    text = result.decode("utf-8", "backslashreplace")
    return text if limit is None else cut(text, limit)


def call_text(body: bytes) -> str:
    """Return the arguments of a call, like `"a/b", depth=2`; other bodies as they are stored."""
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            match decode(body):
                case [list(args), dict(kwargs)]:
                    named = [f"{name}={_plain(value)}" for name, value in kwargs.items()]
                    return ", ".join([*map(_plain, args), *named]) or "none"
    return result_text(body)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def cut(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def status_text(status: Status) -> Text:
    """Return the status in its colour."""
    return Text(status.value, style=_STYLES[status])


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
    state: TaskState[bytes], now: float, body: bytes | None = None
) -> list[tuple[str, Cell]]:
    """Return the names and values of a state's fields that have a value.

    `body` is the task's call, if it is known. `now` is by the broker's clock.
    """
    fields: Iterable[tuple[str, Cell | None]] = [
        ("id", state.id),
        ("task", state.task_name),
        ("queue", state.queue if state.queue != state.task_name else None),
        ("status", status_text(state.status)),
        ("due", moment_text(state.due_time, now)),
        ("arguments", None if body is None else cut(call_text(body), _SHOWN_ARGUMENTS)),
        ("progress", progress_text(state.progress) or None),
        ("enqueued", moment_text(state.enqueue_time, now)),
        ("dequeued", moment_text(state.last_dequeue_time, now)),
        ("requeued", moment_text(state.last_requeue_time, now)),
        ("released", moment_text(state.release_time, now)),
        ("dequeues", str(state.dequeue_count)),
        ("requeues", str(state.requeue_count)),
        ("timeout", None if state.timeout is None else f"{state.timeout:g} s"),
        ("worker", state.worker),
        ("result", None if state.result is None else result_text(state.result)),
        ("error", None if state.error is None else Text(printable(state.error), style="red")),
    ]
    return [(name, value) for name, value in fields if value is not None]


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


def _duration_text(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return f"{minutes} min {int(seconds % 60)} s"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
