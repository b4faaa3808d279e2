"""Values without parts, and those of their subclasses: `SafeString`, `Timestamp`, a `Path`.

They travel as the annotated type. What a subclass adds to it is no part of the annotation. Some
travel as their text, from which they are made again: they are the same if type and text are.
"""

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
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
"""Built-in types whose subclasses travel as the type itself."""

_TEXTS = (
    ("pathlib", "PurePath"),
    ("ipaddress", "IPv4Address"),
    ("ipaddress", "IPv4Network"),
    ("ipaddress", "IPv6Address"),
    ("ipaddress", "IPv6Network"),
    ("fractions", "Fraction"),
    ("zoneinfo", "ZoneInfo"),
)
"""Classes whose values travel as their text."""


def is_scalar(cls: Any) -> bool:
    """Whether subclasses of a class travel as the class itself."""
    return cls in SCALARS or is_text(cls)


def as_scalar(cls: type, value: Any) -> Any:
    """A value as exactly `cls`, a scalar; the value itself if it does not stand for one."""
    if cls not in SCALARS:
        return _as_text(cls, value)
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


def is_text(cls: Any) -> bool:
    """Whether values of a class travel as their text."""
    return isinstance(cls, type) and text_base(cls) is not None


def is_path(cls: Any) -> bool:
    """Whether each text is the text of a value of a class."""
    return is_text(cls) and issubclass(cls, sys.modules["pathlib"].PurePath)


def text_of(value: Any) -> str:
    """The text of a value that travels as one, whatever its own class makes of it."""
    base: Any = text_base(type(value))
    return str(base.__str__(value))


def text_base(cls: Any) -> type | None:
    """The class of Python's own that says what the text of a value is; None if there is none."""
    return _text_base(cls)


@lru_cache(maxsize=1024)
def _text_base(cls: Any) -> type | None:
    """A class whose module nobody has imported is not there, and the module stays so."""
    known = [(sys.modules.get(module), name) for module, name in _TEXTS]
    bases = tuple(getattr(module, name) for module, name in known if module)
    if not issubclass(cls, bases):
        return None
    mro: tuple[type, ...] = cls.__mro__
    return next(one for one in mro if one.__module__.partition(".")[0] in _MODULES)


_MODULES = {module for module, _ in _TEXTS}


def _as_text(cls: Any, value: Any) -> Any:
    """The same for a class of values that travel as their text."""
    if type(value) is cls or not isinstance(value, cls):
        return value
    try:
        made = cls(text_of(value))
    except ValueError:  # an address with a network, for an address
        return value
    is_same = text_of(made) == text_of(value) and not _is_path_of_another_system(value, made)
    return made if is_same and type(value) is not type(made) else value


def _is_path_of_another_system(value: Any, made: Any) -> bool:
    if not is_path(type(value)):
        return False
    pathlib: Any = sys.modules["pathlib"]
    posix, windows = pathlib.PurePosixPath, pathlib.PureWindowsPath
    return any(
        isinstance(value, one) and isinstance(made, other)
        for one, other in ((posix, windows), (windows, posix))
    )
