"""Texts that are the same for the same values, and for no others.

They take types into account, as `same` does: `1`, `True` and `1.0` differ. Sets and dicts may be in
any order. What a text is made of does not depend on the process: no hash, no address, no module
(which is `__main__` in a script).
"""

from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ltq._codec.scalars import is_text, text_base, text_of
from ltq._codec.state import reduced, state


def canonical(value: Any) -> str:
    """The text of a value. Raises `ValueError` for a value that has none."""
    kind = type(value)
    if (write := _WRITERS.get(kind)) is not None:
        return write(value)
    name = kind.__qualname__
    if isinstance(value, Enum):
        return f"{name}.{value.name}={canonical(value.value)}"
    if isinstance(value, type):
        return f"type {name}"
    if is_text(kind):
        own = {} if text_base(kind) is kind else state(value)
        return f"{name}({text_of(value)!r},{_dict(own)})"
    base = next((cls for cls in kind.__mro__ if cls in _WRITERS), None)
    if base is not None:
        return f"{name}({_WRITERS[base](value)},{_dict(state(value))})"
    attributes = state(value)
    if (found := reduced(value)) is not None:
        if not found:
            raise ValueError(f"`{name}` has no canonical form")
        return f"{name}({','.join(map(canonical, found[1:]))})"
    tag = getattr(getattr(value, "__struct_config__", None), "tag", None)
    return f"{name}[{tag!r}]{_dict(attributes)}"


def _number(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _decimal(value: Decimal) -> str:
    return f"Decimal {value}"


def _clock(value: datetime | time) -> str:
    return f"{type(value).__name__} {value.isoformat()}"


def _list(value: Any) -> str:
    return f"{type(value).__name__}[{','.join(map(canonical, value))}]"


def _set(value: Any) -> str:
    return f"{type(value).__name__}{{{','.join(sorted(map(canonical, value)))}}}"


def _dict(value: Any) -> str:
    pairs = sorted(f"{canonical(key)}:{canonical(part)}" for key, part in value.items())
    return f"{{{','.join(pairs)}}}"


_WRITERS: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys((str, bytes, bool, type(None), date, timedelta, UUID), repr),
    **dict.fromkeys((int, float, bytearray, complex), _number),
    **dict.fromkeys((list, tuple, deque), _list),
    **dict.fromkeys((set, frozenset), _set),
    Decimal: _decimal,
    datetime: _clock,
    time: _clock,
    dict: _dict,
}
