"""Values of built-in types that have no parts, and of their subclasses: `SafeString`, `Timestamp`.

They travel as the annotated built-in type. What a subclass adds to it is no part of the annotation.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID


def _as_int(value: Any) -> int:
    return int.__int__(value)


def _as_float(value: Any) -> float:
    """Raises `ValueError` if a float cannot hold the number."""
    if isinstance(value, float):
        return float.__float__(value)
    number = int.__int__(value)
    if float(number) != number:
        raise ValueError(f"{number} is no float")
    return float(number)


def _as_bytes(value: Any) -> bytes:
    return b"".join([value]) if isinstance(value, bytes | bytearray) else bytes(memoryview(value))


def _as_datetime(value: datetime) -> datetime:
    day = (value.year, value.month, value.day)
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return datetime(*day, *clock, tzinfo=value.tzinfo, fold=value.fold)


def _as_date(value: date) -> date:
    """Raises `ValueError` for a datetime with a time of day or a zone."""
    if isinstance(value, datetime) and value != datetime(value.year, value.month, value.day):
        raise ValueError(f"{value} is no date")
    return date(value.year, value.month, value.day)


def _as_time(value: time) -> time:
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return time(*clock, tzinfo=value.tzinfo, fold=value.fold)


def _as_timedelta(value: timedelta) -> timedelta:
    return timedelta(value.days, value.seconds, value.microseconds)


_CONVERSIONS: dict[type, tuple[Any, Callable[[Any], Any]]] = {
    str: (str, str.__str__),
    int: (int, _as_int),
    float: (float | int, _as_float),
    bytes: (bytes | bytearray | memoryview, _as_bytes),
    datetime: (datetime, _as_datetime),
    date: (date, _as_date),
    time: (time, _as_time),
    timedelta: (timedelta, _as_timedelta),
    Decimal: (Decimal, Decimal),
    UUID: (UUID, lambda value: UUID(int=value.int)),
}
"""For each type what may stand for a value of it, and what makes that a plain value of it."""

SCALARS = frozenset(_CONVERSIONS)
"""Types whose subclasses travel as the type itself."""


def as_scalar(cls: type, value: Any) -> Any:
    """A value as exactly `cls`, one of `SCALARS`; the value itself if it does not stand for one."""
    kinds, convert = _CONVERSIONS[cls]
    if type(value) is cls or not isinstance(value, kinds):
        return value
    try:
        return convert(value)
    except (ValueError, OverflowError):
        return value


def base_of(value: Any) -> type | None:
    """The built-in type that a value's class is derived from; None if it is none of `SCALARS`."""
    return next((cls for cls in type(value).__mro__ if cls in SCALARS), None)
