"""How a task's state is shown: as JSON, and in words."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

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


def state_json(state: TaskState[bytes]) -> str:
    """The state as one line of JSON; the result in it is the value the task returned.

    A result that is no JSON (`serializer="msgpack"`) is a text with escapes.
    """
    fields = {name: finite(value) for name, value in asdict(state).items()}
    fields["result"] = None if state.result is None else json_value(state.result)
    return json.dumps(fields)


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_value(result: bytes) -> Any:
    """What bytes say in JSON, or their text."""
    try:
        value = json.loads(result.decode())
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return result_text(result)
    return value


def result_text(result: bytes, limit: int | None = None) -> str:
    """The result as it is stored, at most `limit` characters of it."""
    text = result.decode("utf-8", "backslashreplace")
    if limit is not None and len(text) > limit:
        return f"{text[:limit]}… ({len(text)} characters)"
    return text


def status_text(status: Status) -> Text:
    """The status in its colour."""
    return Text(status.value, style=_STYLES[status])


def progress_text(progress: Progress | None) -> str:
    """`"3/10 (30 %) note"`, or nothing."""
    if progress is None:
        return ""
    text = _count(progress.current)
    if progress.total is not None:
        text += f"/{_count(progress.total)}"
        if progress.total > 0:
            text += f" ({100 * progress.current / progress.total:.0f} %)"
    return f"{text} {progress.note}".rstrip()


def _count(number: float) -> str:
    return f"{round(number, 3):.15g}"


def state_fields(state: TaskState[bytes], now: float) -> list[tuple[str, Cell]]:
    """The state for people: what there is to say, in order."""
    fields: Iterable[tuple[str, Cell | None]] = [
        ("id", state.id),
        ("task", state.task_name),
        ("queue", state.queue if state.queue != state.task_name else None),
        ("status", status_text(state.status)),
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


def moment_text(time: float | None, now: float) -> str | None:
    """A time as local ISO time, and how long ago that is."""
    if time is None:
        return None
    try:
        local = datetime.fromtimestamp(time).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(time)
    return f"{local.isoformat(timespec='milliseconds')} ({ago_text(now - time)})"


def ago_text(seconds: float) -> str:
    """`"3 min 2 s ago"`."""
    length = _length(abs(seconds))
    return f"{length} ago" if seconds >= 0 else f"in {length}"


def _length(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return f"{minutes} min {int(seconds % 60)} s"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
