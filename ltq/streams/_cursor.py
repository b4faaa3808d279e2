"""Cursors of streams: where a reader is, as a text."""

import binascii
import re
from typing import Any, NamedTuple

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_FORM = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9a-f]{8})")


class Reached(NamedTuple):
    """How far a reader is."""

    attempt: int
    """The delivery that its items are of; 0 before the first one."""
    position: int
    """How many items of it come before what is read next."""


BEGIN = Reached(0, 0)


def write_cursor(reached: Reached, task_id: str) -> str:
    """The cursor of a reader of a task's stream."""
    return (
        f"{reached.attempt}-{reached.position}-{_check(reached.attempt, reached.position, task_id)}"
    )


def read_cursor(cursor: Any, task_id: str) -> Reached:
    """How far a cursor says. Raises `ConfigurationError` for what is none of this task's stream."""
    if cursor is None:
        return BEGIN
    match = _FORM.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is not None:
        reached = Reached(int(match[1]), int(match[2]))
        if match[3] == _check(*reached, task_id):
            return reached
    raise wrong_cursor(cursor, task_id)


def wrong_cursor(cursor: Any, task_id: str) -> ConfigurationError:
    """The error for a cursor that is of no place in the stream of a task."""
    return ConfigurationError(
        f"after={short_repr(cursor)} is not allowed: the `cursor` of a stream of task "
        f"{task_id}, as it was, or None for its beginning"
    )


def _check(attempt: int, position: int, task_id: str) -> str:
    return f"{binascii.crc32(f'{attempt} {position} {task_id}'.encode()):08x}"
