"""The fields of a task's hash as values. What cannot be read counts as absent."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from ltq.codec import DEFAULT_SERIALIZER
from ltq.names import MAX_TAGS, is_tag

T = TypeVar("T")

_FIRST_TOKEN = 10**15
"""Tokens are microseconds of Unix time. Less are those that were made up, as of a task from another
store."""


def as_number(kind: Callable[[bytes], T], value: bytes | None) -> T | None:
    """A number of this kind."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        return None


def as_finite(value: bytes | None) -> float | None:
    """A number that is neither infinite nor "nan"."""
    number = as_number(float, value)
    return number if number is not None and math.isfinite(number) else None


def as_text(value: bytes) -> str:
    """A text."""
    return value.decode("utf-8", "replace")


def as_optional_text(value: bytes | None) -> str | None:
    """A text, if it is there."""
    return None if value is None else as_text(value)


as_name = lru_cache(maxsize=4096)(as_text)
"""Names of tasks and queues: there are few, and they come again and again."""


def as_serializer(value: bytes | None) -> str:
    """The name of a serializer."""
    return DEFAULT_SERIALIZER if value is None else as_name(value)


def as_tags(value: bytes | None) -> tuple[str, ...]:
    """The tags of a task."""
    return () if value is None else tuple(filter(is_tag, as_text(value).split(" ")))[:MAX_TAGS]


def claimed_at(moment: bytes | None, token: bytes | None) -> float | None:
    """When a task was claimed last: its first claim says so by the token of its lease alone."""
    if moment:
        return as_number(float, moment)
    micros = as_number(int, token) or 0
    return micros / 1e6 if micros >= _FIRST_TOKEN else None
