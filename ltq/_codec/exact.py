"""Values that arrive as they were because nothing on the way can change them.

A list of `str` for `list[str]`, or a dataclass of such fields: msgspec reads exactly what it wrote.
Whether a value is of this kind is seen without reading it back, so that plain tasks are sent fast.
"""

import dataclasses
import types
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from itertools import chain
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from typing_extensions import is_typeddict

from ltq._codec import kinds
from ltq._codec.fields import fields_of
from ltq._codec.kinds import Check, Kind, Kinds
from ltq._codec.state import is_plain_struct, slot_names


def exact_check(hint: Any) -> Check | None:
    """The check for an annotation; None if its values must be looked at when they are read."""
    kind = _kind(hint, ())
    return kind and kind.one


def _kind(hint: Any, within: tuple[Any, ...]) -> Kind | None:
    """The same for an annotation within the classes `within`."""
    if (kind := _kind_of_scalar(hint)) is not None:
        return kind
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of(args, within)
    if origin is Literal:
        cls = type(args[0])
        is_plain = cls in (str, int) and all(type(one) is cls for one in args)
        return kinds.members(cls, frozenset(args)) if is_plain else None
    if origin in (list, set, frozenset) or (origin is tuple and args[-1:] == (...,)):
        each = _kind(args[0], within)
        return each and kinds.elements(origin, each)
    if origin is tuple:
        places = _all_of(args, within)
        return None if places is None else kinds.tuples(tuple, places)
    if origin is dict:
        return _dict(args[0], args[1], within)
    return None if hint in within else _class(hint, (*within, hint))


_ATOMS = (int, str, bool, bytes, date, timedelta, Decimal, UUID)


def _kind_of_scalar(hint: Any) -> Kind | None:
    """The same for types without parts, and for those that say nothing of them."""
    if hint is None or hint is type(None):
        return kinds.of_types(type(None))
    if hint is Any or hint is object:
        return Kind(_is_plain, _are_plain)
    if hint is float:
        return Kind(_is_finite, _are_finite)
    if hint is datetime:
        return Kind(_is_plain_moment, lambda values: all(map(_is_plain_moment, values)))
    if hint is list or hint is dict:
        return _kind(list[Any] if hint is list else dict[str, Any], ())
    if isinstance(hint, type) and (hint in _ATOMS or _is_plain_enum(hint)):
        return kinds.of_types(hint)
    return None


def _is_plain_enum(cls: type) -> bool:
    """Whether each member of an enum is found again by its value."""
    if not issubclass(cls, Enum) or issubclass(cls, Flag):
        return False
    return {type(member.value) for member in cls} in ({str}, {int})


def _is_plain_moment(value: Any) -> bool:
    return type(value) is datetime and (value.tzinfo is None or value.tzinfo is UTC)


def _is_finite(value: Any) -> bool:
    return type(value) is float and value - value == 0


def _are_finite(values: Iterable[Any]) -> bool:
    floats = [*values]
    return _FLOAT.issuperset(map(type, floats)) and all(map(isfinite, floats))


_FLOAT = frozenset([float])
_TEXT = frozenset([str])
_WITHOUT_PARTS = frozenset([int, str, bool, type(None)])
_PLAIN = _WITHOUT_PARTS | {float, list, dict}


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON without NaN and infinity: it arrives as it was without annotation."""
    return type(value) in _WITHOUT_PARTS or _are_plain((value,))


def _are_plain(values: Iterable[Any]) -> bool:
    parts = [*values]
    while not _WITHOUT_PARTS.issuperset(found := set(map(type, parts))):  # level by level
        if not _PLAIN.issuperset(found):
            return False
        floats, dicts, lists = (_of(kind, parts, found) for kind in (float, dict, list))
        if not _TEXT.issuperset(map(type, chain.from_iterable(dicts))):
            return False
        if not all(map(isfinite, floats)):
            return False
        parts = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
    return True


def _of(kind: type, parts: list[Any], found: set[type]) -> list[Any]:
    """The parts of a type, where `found` are the types of all parts."""
    if kind not in found:
        return []
    return parts if len(found) == 1 else [part for part in parts if type(part) is kind]


_TOLD_APART = (int, str, bool, type(None))


def _any_of(arms: tuple[Any, ...], within: tuple[Any, ...]) -> Kind | None:
    """The kind for a union: of types that JSON tells apart, or of a type and None."""
    if all(arm in _TOLD_APART for arm in arms):
        return kinds.of_types(*arms)
    others = [arm for arm in arms if arm is not type(None)]
    kind = _kind(others[0], within) if len(others) == 1 else None
    return kind and kinds.or_none(kind)


_KEYS = (int, str, date, UUID)
"""Types of keys of which each has one text of its own."""


def _dict(key: Any, value: Any, within: tuple[Any, ...]) -> Kind | None:
    keys, values = _kind(key, within), _kind(value, within)
    if key not in _KEYS or keys is None or values is None:
        return None
    return kinds.dicts(keys, values)


def _all_of(hints: Iterable[Any], within: tuple[Any, ...]) -> Kinds | None:
    """The kinds for some annotations; None if one has none."""
    found = [_kind(hint, within) for hint in hints]
    known = [kind for kind in found if kind is not None]
    return known if len(known) == len(found) else None


def _class(hint: Any, within: tuple[Any, ...]) -> Kind | None:
    """The kind for a class of which nothing but its fields makes an instance what it is."""
    try:
        fields = fields_of(hint)
    except Exception:  # a name that is not defined (yet)
        return None
    of_fields = None if fields is None else _all_of([one.type for one in fields.all], within)
    if fields is None or of_fields is None:
        return None
    cls: Any = get_origin(hint) or hint
    names = [one.name for one in fields.all]
    if is_typeddict(cls):
        return kinds.keyed(names, of_fields)
    if cls.__bases__ == (tuple,):
        return kinds.tuples(cls, of_fields)
    if is_plain_struct(cls):
        has_hook = hasattr(cls, "__post_init__")
        return None if has_hook else kinds.structs(cls, names, of_fields)
    if not _is_plain_dataclass(cls):
        return None
    if not slot_names(cls):
        return kinds.with_vars(cls, names, of_fields)
    has_only_fields = not cls.__dictoffset__ and {*slot_names(cls)} == {*names}
    return kinds.with_slots(cls, names, of_fields) if has_only_fields else None


def _is_plain_dataclass(cls: Any) -> bool:
    """Whether nothing but its attributes makes an instance of a dataclass what it is."""
    return (
        dataclasses.is_dataclass(cls)
        and type(cls) is type
        and not hasattr(cls, "__post_init__")
        and not hasattr(cls, "__pydantic_validator__")
        and cls.__new__ is object.__new__
        and cls.__getattribute__ is object.__getattribute__
        and (cls.__setattr__ is object.__setattr__ or _is_frozen(cls))
        and not any(field.name.startswith("_") for field in dataclasses.fields(cls))
    )


def _is_frozen(cls: Any) -> bool:
    return bool(cls.__dataclass_params__.frozen)
