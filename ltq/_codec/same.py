"""Whether two values have the same content: the same types, part by part.

A value's own `==` does not say so: `1 == True == 1.0`, a dataclass may leave fields out of it, and
NaN equals nothing. A dump does not say so either: a pydantic model may leave fields out of that.
So this module looks at what values are made of: the elements of containers, and what instances have
in `__dict__`, in slots, and in the private attributes of models.
"""

import operator
from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import zip_longest
from typing import Any
from uuid import UUID

from msgspec.structs import astuple

from ltq._codec.scalars import is_text, text_base, text_of
from ltq._codec.state import has_only_vars, is_plain_model, is_plain_struct, reduced, state

Compare = Callable[[Any, Any], bool]

Part = tuple[str, Any, Any]
"""A step of the path, and the parts of both values there; `ABSENT` where one has none."""


class Absent:
    """The type of `ABSENT`."""


ABSENT = Absent()

_MAX_KINDS = 2048
"""Most classes whose comparison is remembered."""


def same(a: Any, b: Any) -> bool:
    """Whether two values have the same types and content.

    In `b` a float may stand for an equal int. Two times are the same if what they show and their
    offset from UTC are the same, whatever says so.
    """
    kind = type(a)
    if kind is not type(b):
        return kind is int and type(b) is float and bool(a == b)
    return (_COMPARISONS.get(kind) or _comparison(kind))(a, b)


def parts(a: Any, b: Any) -> Iterator[Part]:
    """The parts of two values of one type, pair by pair; none if the type has no parts."""
    if isinstance(a, list | tuple | deque):
        for index, (x, y) in enumerate(zip_longest(a, b, fillvalue=ABSENT)):
            yield f"[{index}]", x, y
    elif isinstance(a, dict):
        yield from items(a, b)
    elif isinstance(a, set | frozenset):
        yield from _elements(a, b)
    if type(a) not in _BUILT_IN and not isinstance(a, Enum | type) and reduced(a) is None:
        yield from _attributes(a, b)


def items(a: dict[Any, Any], b: dict[Any, Any]) -> Iterator[Part]:
    """The keys and values of two dicts, in the order of the first.

    A key that only one has is paired with one that only the other has.
    """
    others = {key: key for key in b}
    rest = (key for key in b if key not in a)
    for key, value in a.items():
        other = others[key] if key in others else next(rest, ABSENT)
        if other is not ABSENT:
            yield "[...]", key, other
        yield step(key), value, ABSENT if other is ABSENT else b[other]
    for key in rest:
        yield step(key), ABSENT, b[key]


def step(key: object) -> str:
    """How a path names the value of a key."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _elements(a: Any, b: Any) -> Iterator[Part]:
    """The elements of two sets; elements that only one has go in pairs."""
    others = {element: element for element in b}
    rest = (element for element in b if element not in a)
    for element in a:
        yield "[...]", element, others[element] if element in others else next(rest, ABSENT)
    for element in rest:
        yield "[...]", ABSENT, element


def _attributes(a: Any, b: Any) -> Iterator[Part]:
    """What two instances have in their attributes."""
    ours, theirs = state(a), state(b)
    for name in {**ours, **theirs}:
        yield f".{name}", ours.get(name, ABSENT), theirs.get(name, ABSENT)


def _comparison(kind: type) -> Compare:
    """The comparison for values of a class."""
    compare = _comparison_of(kind)
    if len(_COMPARISONS) < _MAX_KINDS:
        _COMPARISONS[kind] = compare
    return compare


def _comparison_of(kind: type) -> Compare:
    if issubclass(kind, Enum | type):
        return operator.is_
    if text_base(kind) is kind:
        return _same_text
    base = next((cls for cls in kind.__mro__ if cls in _BUILT_IN), None)
    if base is None and not is_text(kind):
        return _comparison_of_object(kind)
    compare = _same_text if base is None else _BUILT_IN[base]
    return lambda a, b: compare(a, b) and _same_attributes(a, b)


def _comparison_of_object(kind: type) -> Compare:
    if has_only_vars(kind):
        return _same_vars
    if is_plain_struct(kind):
        return _same_struct
    return _same_model if is_plain_model(kind) else _same_object


def _same_struct(a: Any, b: Any) -> bool:
    return _same_values(astuple(a), astuple(b))


def _same_model(a: Any, b: Any) -> bool:
    if not _same_vars(a, b):
        return False
    ours, theirs = _beside_fields(a), _beside_fields(b)
    return ours == theirs == _NOTHING or all(
        _same_dict(x or {}, y or {}) for x, y in zip(ours, theirs, strict=True)
    )


_beside_fields = operator.attrgetter("__pydantic_extra__", "__pydantic_private__")

_NOTHING = (None, None)


def _same_object(a: Any, b: Any) -> bool:
    """The same for two objects: by their attributes, else by how they say they can be rebuilt."""
    if a is b:
        return True
    ours = reduced(a)
    if ours is None:
        return _same_attributes(a, b)
    theirs = reduced(b)
    if ours and theirs:
        return _same_sequence(ours, theirs)
    has_no_eq = getattr(type(a), "__eq__", None) is object.__eq__
    return _equal(a, b) or (has_no_eq and not callable(a))


def _same_vars(a: Any, b: Any) -> bool:
    ours, theirs = a.__dict__, b.__dict__
    if list(ours) == list(theirs):  # names are plain texts
        return _same_values(ours.values(), theirs.values())
    return _same_dict(ours, theirs)


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # the `__eq__` of anybody's class
        return False


def _same_attributes(a: Any, b: Any) -> bool:
    return _same_dict(state(a), state(b))


def _same_float(a: float, b: float) -> bool:
    return (a == b and (a != 0 or str(a) == str(b))) or (a != a and b != b)


def _same_decimal(a: Decimal, b: Decimal) -> bool:
    return a.as_tuple() == b.as_tuple()


def _same_clock(a: Any, b: Any) -> bool:
    """The same for two times or datetimes: without a zone, their fold says nothing."""
    if a.utcoffset() != b.utcoffset() or (a.tzinfo is None) is not (b.tzinfo is None):
        return False
    return bool(a.replace(tzinfo=None) == b.replace(tzinfo=None))


def _same_text(a: Any, b: Any) -> bool:
    return text_of(a) == text_of(b)


def _same_sequence(a: Any, b: Any) -> bool:
    return len(a) == len(b) and _same_values(a, b)


def _same_dict(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    if len(a) != len(b):
        return False
    if list(a) == list(b) and _TEXT.issuperset(map(type, a)) and _TEXT.issuperset(map(type, b)):
        return _same_values(a.values(), b.values())
    return all(same(x, y) for _, x, y in items(a, b))


def _same_values(a: Collection[Any], b: Collection[Any]) -> bool:
    """The same for as many values, pair by pair."""
    kinds = [*map(type, a)]
    if kinds != [*map(type, b)]:
        return all(map(same, a, b))
    if _ATOMS.issuperset(kinds):
        return all(map(operator.eq, a, b))
    for kind, x, y in zip(kinds, a, b, strict=True):
        if not (_COMPARISONS.get(kind) or _comparison(kind))(x, y):
            return False
    return True


def _same_set(a: Any, b: Any) -> bool:
    if len(a) != len(b):
        return False
    if len(kinds := set(map(type, a))) == 1 and _ATOMS.issuperset(kinds):
        return bool(a == b) and kinds == set(map(type, b))
    return all(same(x, y) for _, x, y in _elements(a, b))


_ATOMS: set[type] = {int, str, bool, bytes, type(None), date, timedelta, UUID}
"""Types whose `==` says all there is to say, among values of the same type."""

_TEXT = frozenset([str])

_BUILT_IN: dict[type, Compare] = {
    **dict.fromkeys((*_ATOMS, bytearray, complex), operator.eq),
    **dict.fromkeys((datetime, time), _same_clock),
    **dict.fromkeys((list, tuple, deque), _same_sequence),
    **dict.fromkeys((set, frozenset), _same_set),
    float: _same_float,
    Decimal: _same_decimal,
    dict: _same_dict,
}

_COMPARISONS: dict[type, Compare] = dict(_BUILT_IN)
