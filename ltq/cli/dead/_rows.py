"""How a dead letter is shown: as JSON, as a row, and with all there is."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from ltq.cli._console import Cell, print_columns, print_fields, print_line, print_trace
from ltq.cli._states import ago_text, finite, json_value, moment_text, result_text, status_text
from ltq.logger import printable
from ltq.message import DeadLetter

_SHOWN_ERROR = 80
"""Characters of an error in a table; `ltq dead show` has all of it."""


def letter_value(letter: DeadLetter) -> dict[str, Any]:
    """The letter for JSON; the body is a value, or a text with escapes if it is no JSON."""
    fields = {name: finite(value) for name, value in msgspec.structs.asdict(letter).items()}
    fields["body"] = None if letter.body is None else json_value(letter.body)
    return fields


def print_letters(console: Console, letters: Sequence[DeadLetter]) -> None:
    """Print a row for each letter."""
    now = time.time()
    is_shared = any(letter.queue != letter.task_name for letter in letters)
    head = ("id", "task", *(("queue",) if is_shared else ()), "status", "died", "error")
    rows = [_row(letter, now, is_shared=is_shared) for letter in letters]
    print_columns(console, head, rows, left=set(range(len(head))), is_cut=True)


def _row(letter: DeadLetter, now: float, *, is_shared: bool) -> list[Cell]:
    error = letter.error or ""
    if len(error) > _SHOWN_ERROR:
        error = f"{error[:_SHOWN_ERROR]}…"
    names = [letter.task_name, letter.queue] if is_shared else [letter.task_name]
    return [letter.id, *names, status_text(letter.status), ago_text(now - letter.time), error]


def print_letter(console: Console, letter: DeadLetter) -> None:
    """Print all there is to know of a letter."""
    now = time.time()
    fields: list[tuple[str, Cell | None]] = [
        ("id", letter.id),
        ("task", letter.task_name),
        ("queue", letter.queue if letter.queue != letter.task_name else None),
        ("status", status_text(letter.status)),
        ("died", moment_text(letter.time, now)),
        ("enqueued", moment_text(letter.enqueue_time, now)),
        ("tries", str(letter.tries)),
        ("dequeues", str(letter.dequeue_count)),
        ("requeues", str(letter.requeue_count)),
        ("deaths", str(letter.deaths) if letter.deaths else None),
        ("worker", letter.worker),
        ("body", None if letter.body is None else result_text(letter.body)),
        ("error", None if letter.error is None else Text(printable(letter.error), style="red")),
    ]
    print_fields(console, [(name, value) for name, value in fields if value is not None])
    if letter.body is None:
        print_line(console, "There is no body: it cannot be enqueued again.")
    print_trace(console, letter.traceback)


def count_letters(count: int) -> str:
    """`"1 dead letter"`, `"2 dead letters"`."""
    return "1 dead letter" if count == 1 else f"{count} dead letters"
