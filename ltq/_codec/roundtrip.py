"""Whether a value is the same after a round trip: encoded, and decoded again.

No error says so when NaN becomes None, or a `UUID` without annotation a `str`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

_PLAIN = (str, int, float, bool, list, dict, bytes)


def difference(sent: Any, got: Any, *, plain: bool = False, path: str = "") -> str:
    """How `got` differs from `sent`, and at which path; empty if it is as good.

    An equal value is as good, and so are those of `_may_replace`. Containers and objects with
    fields are compared part by part. With `plain`, plain data is as good as any other value.
    """
    if equal(sent, got):
        return ""
    if (parts := _parts(sent, got)) is not None:
        found = (difference(a, b, plain=plain, path=path + step) for step, a, b in parts)
        return next(filter(None, found), "")
    became_plain = type(got) in _PLAIN and type(sent) is not type(got)
    if _may_replace(sent, got) or (plain and became_plain):
        return ""
    old = repr(sent) if isinstance(sent, float) else _kind(sent)
    new = "changed" if type(sent) is type(got) else f"as `{_kind(got)}`"
    return f"`{old}` would arrive {new}" + (path and f" - at `${path}`")


def equal(a: Any, b: Any) -> bool:
    """`a == b`; False if the `__eq__` of a user's class raises."""
    try:
        return bool(a == b)
    except Exception:
        return False


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__qualname__


def _may_replace(sent: Any, got: Any) -> bool:
    """Whether `got` is as good as `sent` although the two are not equal.

    It is the same instant, or a value of the same type that nothing equals, or one of a base class,
    or a float for an int.
    """
    if isinstance(sent, datetime) and isinstance(got, datetime) and sent.tzinfo and got.tzinfo:
        return not sent - got  # `==` is always False for times when clocks are put back
    if type(sent) is type(got):
        return _equals_nothing(sent)
    return isinstance(sent, type(got)) or (type(sent), type(got)) == (int, float)


def _equals_nothing(value: Any) -> bool:
    """Whether a value differs even from a copy of itself: NaN, or a class without `__eq__`."""
    compare: Any = type(value).__eq__
    has_no_eq = compare is object.__eq__ and not isinstance(value, Enum)
    return has_no_eq or not equal(value, value)


_Part = tuple[str, Any, Any]
"""A step of the path, and the parts of both values there."""


def _parts(sent: Any, got: Any) -> Iterator[_Part] | None:
    """The parts of two values, pair by pair; None if they cannot be compared in parts."""
    if isinstance(sent, list) and isinstance(got, list):
        return _elements(sent, got)
    if isinstance(sent, tuple) and isinstance(got, list | tuple):
        return _elements(sent, got)
    if isinstance(sent, dict) and isinstance(got, dict):
        return _items(sent, got) if len(sent) == len(got) else None
    if isinstance(sent, type(got)) and (fields := _fields(got)) is not None:
        sent_fields = _fields(sent) or {}
        return _items({name: sent_fields.get(name) for name in fields}, fields)
    return None


def _elements(sent: Sequence[Any], got: Sequence[Any]) -> Iterator[_Part]:
    for index, (a, b) in enumerate(zip(sent, got, strict=False)):
        yield f"[{index}]", a, b


def _items(sent: Mapping[Any, Any], got: Mapping[Any, Any]) -> Iterator[_Part]:
    """The keys and the values of two mappings; if their keys differ, in the order of each."""
    same = sent.keys() == got.keys()
    for (key, value), other in zip(sent.items(), got, strict=False):
        yield "[...]", key, key if same else other
        yield f".{key}", value, got[key if same else other]


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a model, a struct or a dataclass; None for any other value."""
    kind = type(value)
    if hasattr(kind, "model_dump"):
        return dict(value.model_dump(warnings=False))
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    return None if names is None else {name: getattr(value, name, None) for name in names}
