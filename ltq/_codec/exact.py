"""Values that arrive as they were because nothing on the way can change them.

A list of `str` for `list[str]`, or a dataclass of such fields: msgspec reads exactly what it wrote.
Whether a value is of this kind is seen without reading it back, so that plain tasks are sent fast.
"""

import dataclasses
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from operator import call
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec.structs import astuple
from typing_extensions import get_type_hints

from ltq._codec.state import is_plain_struct

Check = Callable[[Any], bool]
"""Whether a value is of this kind; False also if that is not certain."""

_ATOMS: dict[Any, type] = {int: int, str: str, bool: bool, None: type(None), type(None): type(None)}


def atom_of(hint: Any) -> type | None:
    """The type whose values always arrive as they were for an annotation, if there is one."""
    return _ATOMS.get(hint) if hint is None or isinstance(hint, type) else None


def exact_check(hint: Any) -> Check | None:
    """The check for an annotation; None if its values must be looked at when they are read."""
    return _check(hint, ())


def _check(hint: Any, within: tuple[type, ...]) -> Check | None:
    """The same for an annotation within those of these classes."""
    if (check := _check_of_scalar(hint)) is not None:
        return check
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of(args, within)
    if origin is list:
        return _list_of(args[0], within)
    if origin is dict and args[0] is str:
        return _dict_of(args[1], within)
    if _is_plain_dataclass(hint, within):
        return _fields_of(hint, within)
    return _struct_of(hint, within) if _is_struct(hint, within) else None


def _check_of_scalar(hint: Any) -> Check | None:
    """The same for types without parts."""
    if (atom := atom_of(hint)) is not None:
        return _of_types(frozenset([atom]))
    if hint is Any or hint is object:
        return _is_plain
    if hint is float:
        return _is_finite
    if hint is datetime:
        return _is_plain_moment
    is_class = isinstance(hint, type)
    if is_class and (hint in _WRITTEN_IN_FULL or _is_plain_enum(hint)):
        return _of_types(frozenset([hint]))
    return None


def _any_of(arms: tuple[Any, ...], within: tuple[type, ...]) -> Check | None:
    """The check for a union: of types that JSON tells apart, or of a type and None."""
    atoms = frozenset(map(atom_of, arms))
    if None not in atoms:
        return _of_types(atoms)
    others = [arm for arm in arms if atom_of(arm) is not type(None)]
    check = _check(others[0], within) if len(others) == 1 else None
    return check and (lambda value: value is None or check(value))


_WRITTEN_IN_FULL = frozenset([bytes, date, timedelta, Decimal, UUID])


def _is_plain_moment(value: Any) -> bool:
    return type(value) is datetime and (value.tzinfo is None or value.tzinfo is UTC)


def _is_plain_enum(cls: type) -> bool:
    """Whether each member of an enum is found again by its value."""
    if not issubclass(cls, Enum) or issubclass(cls, Flag):
        return False
    kinds = {type(member.value) for member in cls}
    return kinds in ({str}, {int})


def _of_types(kinds: frozenset[Any]) -> Check:
    return lambda value: type(value) in kinds


def _is_finite(value: Any) -> bool:
    return type(value) is float and value - value == 0


_NO_PARTS = frozenset([int, str, bool, type(None)])


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON without NaN and infinity: it arrives as it was without annotation."""
    kind = type(value)
    if kind in _NO_PARTS:
        return True
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        parts = value.values()
    elif kind is list:
        parts = value
    else:
        return _is_finite(value)
    return _NO_PARTS.issuperset(map(type, parts)) or all(map(_is_plain, parts))


_TEXT = frozenset([str])


def _list_of(hint: Any, within: tuple[type, ...]) -> Check | None:
    check = _all_of(hint, within)
    return check and (lambda value: type(value) is list and check(value))


def _dict_of(hint: Any, within: tuple[type, ...]) -> Check | None:
    check = _all_of(hint, within)
    return check and (
        lambda value: (
            type(value) is dict and _TEXT.issuperset(map(type, value)) and check(value.values())
        )
    )


def _all_of(hint: Any, within: tuple[type, ...]) -> Check | None:
    """The same for each of several values."""
    if (atom := atom_of(hint)) is not None:
        kinds = frozenset([atom])
        return lambda values: kinds.issuperset(map(type, values))
    check = _check(hint, within)
    return check and (lambda values: all(map(check, values)))


def _is_plain_dataclass(cls: Any, within: tuple[type, ...]) -> bool:
    """Whether nothing but its fields makes an instance of a dataclass what it is."""
    return (
        isinstance(cls, type)
        and dataclasses.is_dataclass(cls)
        and type(cls) is type
        and cls not in within
        and not any("__slots__" in vars(base) for base in cls.__mro__)
        and not hasattr(cls, "__post_init__")
        and not hasattr(cls, "__pydantic_validator__")
        and cls.__new__ is object.__new__
        and cls.__getattribute__ is object.__getattribute__
        and (cls.__setattr__ is object.__setattr__ or _is_frozen(cls))
        and not any(field.name.startswith("_") for field in dataclasses.fields(cls))
    )


def _is_struct(cls: Any, within: tuple[type, ...]) -> bool:
    """Whether nothing but its fields makes an instance of a Struct what it is."""
    return (
        isinstance(cls, type)
        and issubclass(cls, msgspec.Struct)
        and cls not in within
        and is_plain_struct(cls)
        and not hasattr(cls, "__post_init__")
    )


def _struct_of(cls: Any, within: tuple[type, ...]) -> Check | None:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception:  # a name that is not defined (yet)
        return None
    found = [_check(hints.get(name, object()), (*within, cls)) for name in cls.__struct_fields__]
    checks = [check for check in found if check]
    if len(checks) < len(found):
        return None
    return lambda value: type(value) is cls and all(map(call, checks, astuple(value)))


def _is_frozen(cls: Any) -> bool:
    return bool(cls.__dataclass_params__.frozen)


def _fields_of(cls: Any, within: tuple[type, ...]) -> Check | None:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception:  # a name that is not defined (yet)
        return None
    names = tuple(field.name for field in dataclasses.fields(cls))
    atoms = tuple(atom_of(hints.get(name, object())) for name in names)
    if None not in atoms:
        return lambda value: (
            type(value) is cls
            and tuple(fields := value.__dict__) == names
            and tuple(map(type, fields.values())) == atoms
        )
    found = [_check(hints.get(name, object()), (*within, cls)) for name in names]
    checks = [check for check in found if check]
    if len(checks) < len(found):
        return None
    return lambda value: (
        type(value) is cls
        and tuple(fields := value.__dict__) == names
        and all(map(call, checks, fields.values()))
    )
