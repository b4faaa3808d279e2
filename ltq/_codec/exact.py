"""Values that arrive as they were because nothing on the way can change them.

A list of `str` for `list[str]`, or a dataclass of such fields: msgspec reads exactly what it wrote.
Whether a value is of this kind is seen without reading it back, so that plain tasks are sent fast.
"""

import dataclasses
import types
from collections.abc import Callable
from operator import call
from typing import Any, Union, get_args, get_origin

from typing_extensions import get_type_hints

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
    origin, args = get_origin(hint), get_args(hint)
    if (atom := atom_of(hint)) is not None:
        return _of_types(frozenset([atom]))
    if hint is Any or hint is object:
        return _is_plain
    if hint is float:
        return _is_finite
    if origin in (Union, types.UnionType):
        atoms = frozenset(map(atom_of, args))
        return None if None in atoms else _of_types(atoms)
    if origin is list:
        return _list_of(args[0], within)
    if origin is dict and args[0] is str:
        return _dict_of(args[1], within)
    return _fields_of(hint, within) if _is_plain_dataclass(hint, within) else None


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
