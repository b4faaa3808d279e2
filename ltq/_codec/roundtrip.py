"""Whether a value is the same after a round trip: encoded, and decoded again.

Without an error NaN may become None, and a `UUID` without annotation a `str`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

_PLAIN = (str, int, float, bool, list, dict, bytes)


def difference(sent: Any, got: Any, *, plain: bool = False, path: str = "") -> str:
    """How `got` differs from `sent`, and at which path; empty if it is as good.

    As good are an equal value, an instance of a base class of what was sent, a list for a tuple,
    and a value of the same type that cannot be compared. With `plain`, plain data is as good as
    any value.
    """
    if equal(sent, got):
        return ""
    if (pairs := _pairs(sent, got)) is not None:
        steps = (difference(a, b, plain=plain, path=path + step) for step, a, b in pairs)
        return next(filter(None, steps), "")
    if _as_good(sent, got) or (plain and type(got) in _PLAIN and type(sent) is not type(got)):
        return ""
    old = repr(sent) if isinstance(sent, float) else _kind(sent)
    new = "changed" if type(sent) is type(got) else f"as `{_kind(got)}`"
    return f"`{old}` would arrive {new}" + (path and f" - at `${path}`")


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__qualname__


def _as_good(sent: Any, got: Any) -> bool:
    if isinstance(sent, datetime) and isinstance(got, datetime) and sent.tzinfo and got.tzinfo:
        return not sent - got  # `==` is always False where clocks are put back
    if type(sent) is type(got):  # as good if it is NaN, or has no `__eq__`
        compare: Any = type(sent).__eq__
        return (compare is object.__eq__ and not isinstance(sent, Enum)) or not equal(sent, sent)
    return isinstance(sent, type(got)) or (type(sent), type(got)) == (int, float)


def equal(a: Any, b: Any) -> bool:
    """`a == b`; False where the `__eq__` of a user's class raises."""
    try:
        return bool(a == b)
    except Exception:
        return False


def _pairs(sent: Any, got: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """The parts of two values, each with its step of the path; None if the two are not alike."""
    sequence = list if isinstance(sent, list) else list | tuple
    if isinstance(sent, list | tuple) and isinstance(got, sequence):
        return ((f"[{i}]", a, b) for i, (a, b) in enumerate(zip(sent, got, strict=False)))
    if isinstance(sent, dict) and isinstance(got, dict):
        return _items(sent, got) if len(sent) == len(got) else None
    if isinstance(sent, type(got)) and (new := _fields(got)) is not None:
        old = _fields(sent) or {}
        return _items({name: old.get(name) for name in new}, new)
    return None


def _items(sent: Mapping[Any, Any], got: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]]:
    same = sent.keys() == got.keys()
    for (key, value), other in zip(sent.items(), got, strict=False):
        yield "[...]", key, key if same else other
        yield f".{key}", value, got[key if same else other]


def _fields(value: Any) -> dict[str, Any] | None:
    kind = type(value)
    if hasattr(kind, "model_dump"):
        return dict(value.model_dump(warnings=False))
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    return None if names is None else {name: getattr(value, name, None) for name in names}
