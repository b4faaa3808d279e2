"""Showing states, results and times: as JSON, and as text for people."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.text import Text

from ltq._display.durations import age_text, duration_text
from ltq._display.encoded import Encoded, call_text, cut, json_value, result_text
from ltq.cli._console import Cell
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

_SHOWN_ARGUMENTS = 1000
"""Most characters of a call's arguments that are shown; `--json` has all of them."""


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


def shown_result(state: TaskState[bytes], limit: int | None = None) -> str:
    """Return the result of a task that has one, as `result_text` does."""
    return result_text(state.result or b"", limit, serializer=state.serializer)


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
        ("items", str(state.items) if state.items else None),
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
        return f"due in {duration_text(max(0.0, state.due_time - now))}"
    since = state_since(state)
    if since is None:
        return ""
    if not state.status.is_final:
        verb = "running" if state.status is Status.WORKING else "waiting"
        return f"{verb} {duration_text(max(0.0, now - since))}"
    begin = state.last_dequeue_time
    return "" if begin is None else f"ran {duration_text(max(0.0, since - begin))}"


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


def cut_left(text: str, width: int) -> str:
    """Return a text without its beginning if it is longer than `width` characters."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"
