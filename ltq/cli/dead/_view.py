"""Showing dead letters: as JSON, as a table, or one of them with all its fields."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from ltq._display.durations import age_text
from ltq._display.encoded import json_value, result_text
from ltq.cli._console import Cell, print_columns, print_fields, print_line, print_traceback
from ltq.cli._format import finite, moment_text, status_text
from ltq.logger import printable
from ltq.message import DeadLetter

_SHOWN_ERROR = 80
"""Most characters of an error in a table; `ltq dead show` shows all of it."""


def as_json(dead_letter: DeadLetter) -> dict[str, Any]:
    """Return the fields for JSON; see `json_value` for a body that cannot be read."""
    fields = {name: finite(value) for name, value in msgspec.structs.asdict(dead_letter).items()}
    body, serializer = dead_letter.body, dead_letter.serializer
    fields["body"] = None if body is None else json_value(body, serializer)
    return fields


def print_table(console: Console, dead_letters: Sequence[DeadLetter], now: float) -> None:
    """Print a row for each dead letter. `now` is by the broker's clock."""
    has_queue = any(one.queue != one.task_name for one in dead_letters)
    queue = ("queue",) if has_queue else ()
    head = ("id", "task", *queue, "status", "died", "error")
    rows = [_row(one, now, has_queue=has_queue) for one in dead_letters]
    print_columns(console, head, rows, left=set(range(len(head))), is_cut=True)


def _row(dead_letter: DeadLetter, now: float, *, has_queue: bool) -> list[Cell]:
    error = dead_letter.error or ""
    if len(error) > _SHOWN_ERROR:
        error = f"{error[:_SHOWN_ERROR]}…"
    row: list[Cell] = [dead_letter.id, dead_letter.task_name]
    if has_queue:
        row.append(dead_letter.queue)
    return [
        *row,
        status_text(dead_letter.status),
        age_text(max(0.0, now - dead_letter.time)),
        error,
    ]


def print_dead_letter(console: Console, dead_letter: DeadLetter, now: float) -> None:
    """Print everything about a dead letter. `now` is by the broker's clock."""
    one = dead_letter
    fields: list[tuple[str, Cell | None]] = [
        ("id", one.id),
        ("task", one.task_name),
        ("queue", one.queue if one.queue != one.task_name else None),
        ("status", status_text(one.status)),
        ("tags", ", ".join(one.tags) or None),
        ("died", moment_text(one.time, now)),
        ("enqueued", moment_text(one.enqueue_time, now)),
        ("tries", str(one.tries)),
        ("dequeues", str(one.dequeue_count)),
        ("requeues", str(one.requeue_count)),
        ("deaths", str(one.deaths) if one.deaths else None),
        ("worker", one.worker),
        ("body", None if one.body is None else result_text(one.body, serializer=one.serializer)),
        ("error", None if one.error is None else Text(printable(one.error), style="red")),
    ]
    print_fields(console, [(name, value) for name, value in fields if value is not None])
    if one.body is None:
        print_line(console, "Its arguments were not kept: it cannot be retried.")
    print_traceback(console, one.traceback)


def count_dead_letters(count: int) -> str:
    """Return `"1 dead letter"`, or `"2 dead letters"`."""
    return "1 dead letter" if count == 1 else f"{count} dead letters"
