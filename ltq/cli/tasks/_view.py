"""Showing the tasks of a queue: as JSON, and as a table that fits a terminal."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from ltq._display.durations import age_text
from ltq._display.encoded import Encoded, call_text
from ltq.broker.flows import waits_for_others
from ltq.cli._console import columns, print_columns, print_line, safe
from ltq.cli._format import shown_result, since_text, state_json, status_text
from ltq.logger import printable
from ltq.state import Status, TaskDetail

_SHOWN = 200
"""Most characters of arguments, results and errors in a table."""

_MIN_SHOWN = 20
"""Fewest characters of them that a row of a terminal has room for; else they get a line."""

_INDENT = "    "

_TASK, _WORKER = "task", "worker"
"""Titles of columns of long names."""


def as_json(task: TaskDetail) -> dict[str, Any]:
    """Return the fields for JSON; see `json_value` for what cannot be read."""
    has_call = task.body is not None and not waits_for_others(task)
    body = Encoded(task.body or b"", task.serializer) if has_call else None
    ctx = Encoded(task.ctx) if task.ctx else None
    fields: dict[str, Any] = json.loads(state_json(task, body=body, ctx=ctx))
    return fields


def print_tasks(
    console: Console,
    tasks: Sequence[TaskDetail],
    now: float,
    *,
    queue: str,
    has_status: bool,
) -> None:
    """Print a row for each task, with the columns that say something.

    If a terminal is too narrow, names are shortened, and worker and last column go to a line below
    their row. `now` is by the broker's clock.
    """
    shown = _columns(tasks, now, queue, has_status=has_status)
    outcomes = [_outcome(task) for task in tasks]
    room = console.width - sum(column.width + 2 for column in shown)
    if not console.is_terminal or room >= _MIN_SHOWN:
        shown.append(_Column("arguments or outcome", outcomes))
        print_columns(console, *_table(shown), left=_left(shown), is_cut=True)
        return
    _print_narrow(console, [c for c in shown if c.title != _WORKER], tasks, outcomes)


def _print_narrow(
    console: Console,
    shown: Sequence["_Column"],
    tasks: Sequence[TaskDetail],
    outcomes: Sequence[Text],
) -> None:
    """Print a row for each task, and below it what there is no room for."""
    names = next((place for place, column in enumerate(shown) if column.title == _TASK), None)
    head, *rows = columns(console, *_table(shown), left=_left(shown), shortened=names)
    print_line(console, head)
    for row, task, outcome in zip(rows, tasks, outcomes, strict=True):
        print_line(console, row)
        is_running = task.status is Status.WORKING
        holder = f"on {printable(task.worker)}  " if is_running and task.worker else ""
        below = Text(_INDENT) + Text(holder, "dim") + outcome
        below.truncate(console.width, overflow="ellipsis")
        if below.plain.strip():
            print_line(console, below)


@dataclass(slots=True)
class _Column:
    title: str
    cells: list[Text]
    is_left: bool = True

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells))


def _table(shown: Sequence[_Column]) -> tuple[list[str], list[tuple[Text, ...]]]:
    """The head and the rows of these columns."""
    return [one.title for one in shown], [*zip(*(one.cells for one in shown), strict=True)]


def _left(shown: Sequence[_Column]) -> set[int]:
    return {place for place, column in enumerate(shown) if column.is_left}


def _columns(
    tasks: Sequence[TaskDetail], now: float, queue: str, *, has_status: bool
) -> list[_Column]:
    """The columns before the last one. Those in which all rows are alike are left out."""
    shown = [_Column("id", [safe(task.id) for task in tasks])]
    if has_status:
        shown.append(_Column("status", [status_text(task.status) for task in tasks]))
    shown.append(_Column("when", [Text(_when(task, now)) for task in tasks]))
    if any(task.tries for task in tasks):
        shown.append(_Column("tries", [Text(str(task.tries)) for task in tasks], is_left=False))
    if any(task.task_name != queue for task in tasks):
        shown.append(_Column(_TASK, [safe(task.task_name) for task in tasks]))
    if any(task.status is Status.WORKING for task in tasks):
        shown.append(_Column(_WORKER, [safe(task.worker or "") for task in tasks]))
    return shown


def _when(task: TaskDetail, now: float) -> str:
    """How long it has been waiting or running, when it is due, or when it ended."""
    if task.status.is_final and task.release_time is not None:
        return f"ended {age_text(max(0.0, now - task.release_time))}"
    return since_text(task, now)


def _outcome(task: TaskDetail) -> Text:
    """The arguments of a task, or how it ended."""
    if task.status.is_final and task.error is not None:
        return Text(_cut(printable(task.error)), style="red")
    if task.status.is_final and task.result is not None:
        return Text(_cut(f"= {printable(shown_result(task, _SHOWN))}"))
    if waits_for_others(task):
        return Text("waits for other tasks", style="dim")
    if task.body is None:
        return Text("")
    return Text(_cut(printable(call_text(task.body, task.serializer))))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
