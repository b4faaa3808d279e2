"""Values that arrive as they were because nothing on the way can change them.

A list of `str` for `list[str]`, or a dataclass of such fields: msgspec reads exactly what it wrote.
Whether a value is of this kind is seen without reading it back, so that plain tasks are sent fast.
Many values are looked at together, field by field: then the loops are those of Python itself.
"""

import dataclasses
import types
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from itertools import chain
from math import isfinite
from operator import attrgetter, call, itemgetter
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec.structs import astuple
from typing_extensions import is_typeddict

from ltq._codec.fields import fields_of
from ltq._codec.state import is_plain_struct, slot_names

Check = Callable[[Any], bool]
"""Whether a value is of this kind; False also if that is not certain."""

Columns = Iterable[Iterable[Any]]


class _Kind(NamedTuple):
    """How values of an annotation are looked at."""

    one: Check
    many: Callable[[Iterable[Any]], bool]
    """The same for all of many values, through which it goes once."""
    atoms: frozenset[type] = frozenset()
    """The types of the values, if these say all."""


def exact_check(hint: Any) -> Check | None:
    """The check for an annotation; None if its values must be looked at when they are read."""
    kind = _kind(hint, ())
    return kind and kind.one


def _kind(hint: Any, within: tuple[Any, ...]) -> _Kind | None:
    """The same for an annotation within the classes `within`."""
    if (kind := _kind_of_scalar(hint)) is not None:
        return kind
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of(args, within)
    if origin is Literal:
        return _literal(args)
    if origin in (list, set, frozenset):
        return _elements(origin, args[0], within)
    if origin is tuple:
        return _tuple(args, within)
    if origin is dict:
        return _dict(args, within)
    return None if hint in within else _with_fields(hint, (*within, hint))


_ATOMS = (int, str, bool, bytes, date, timedelta, Decimal, UUID)


def _kind_of_scalar(hint: Any) -> _Kind | None:
    """The same for types without parts, and for those that say nothing of them."""
    if hint is None or hint is type(None):
        return _of_types(frozenset([type(None)]))
    if hint is Any or hint is object:
        return _Kind(_is_plain, _are_plain)
    if hint is float:
        return _Kind(_is_finite, _are_finite)
    if hint is datetime:
        return _Kind(_is_plain_moment, lambda values: all(map(_is_plain_moment, values)))
    if hint is list or hint is dict:
        return _kind(list[Any] if hint is list else dict[str, Any], ())
    if isinstance(hint, type) and (hint in _ATOMS or _is_plain_enum(hint)):
        return _of_types(frozenset([hint]))
    return None


def _is_plain_enum(cls: type) -> bool:
    """Whether each member of an enum is found again by its value."""
    if not issubclass(cls, Enum) or issubclass(cls, Flag):
        return False
    kinds = {type(member.value) for member in cls}
    return kinds in ({str}, {int})


def _of_types(kinds: frozenset[type]) -> _Kind:
    return _Kind(
        lambda value: type(value) in kinds,
        lambda values: kinds.issuperset(map(type, values)),
        kinds,
    )


def _is_plain_moment(value: Any) -> bool:
    return type(value) is datetime and (value.tzinfo is None or value.tzinfo is UTC)


def _is_finite(value: Any) -> bool:
    return type(value) is float and value - value == 0


def _are_finite(values: Iterable[Any]) -> bool:
    floats = list(values)
    return _FLOAT.issuperset(map(type, floats)) and all(map(isfinite, floats))


_FLOAT = frozenset([float])
_TEXT = frozenset([str])
_NO_PARTS = frozenset([int, str, bool, type(None)])
_PLAIN = _NO_PARTS | {float, list, dict}


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON without NaN and infinity: it arrives as it was without annotation."""
    return type(value) in _NO_PARTS or _are_plain((value,))


def _are_plain(values: Iterable[Any]) -> bool:
    parts = list(values)
    while parts:  # level by level
        kinds = set(map(type, parts)) - _NO_PARTS
        if not _PLAIN.issuperset(kinds):
            return False
        if float in kinds and not all(map(isfinite, _of(float, parts, kinds))):
            return False
        dicts, lists = _of(dict, parts, kinds), _of(list, parts, kinds)
        if not _TEXT.issuperset(map(type, chain.from_iterable(dicts))):
            return False
        parts = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dicts))]
    return True


def _of(kind: type, parts: list[Any], kinds: set[type]) -> list[Any]:
    """The parts of a type, where `kinds` are those of the parts."""
    return [part for part in parts if type(part) is kind] if kind in kinds else []


def _any_of(arms: tuple[Any, ...], within: tuple[Any, ...]) -> _Kind | None:
    """The kind for a union: of types that JSON tells apart, or of a type and None."""
    if all(arm in _TOLD_APART for arm in arms):
        return _of_types(frozenset(type(None) if arm is None else arm for arm in arms))
    others = [arm for arm in arms if arm is not type(None) and arm is not None]
    kind = _kind(others[0], within) if len(others) == 1 else None
    if kind is None:
        return None
    if kind.atoms:
        return _of_types(kind.atoms | {type(None)})
    one, many = kind.one, kind.many
    return _Kind(
        lambda value: value is None or one(value),
        lambda values: many(value for value in values if value is not None),
    )


_TOLD_APART = (int, str, bool, None, type(None))


def _literal(members: tuple[Any, ...]) -> _Kind | None:
    known, kinds = frozenset(members), frozenset(map(type, members))
    if kinds not in (frozenset([str]), frozenset([int])):
        return None
    return _Kind(
        lambda value: type(value) in kinds and value in known,
        lambda values: kinds.issuperset(map(type, found := list(values))) and known >= {*found},
    )


def _elements(cls: type[Any], hint: Any, within: tuple[Any, ...]) -> _Kind | None:
    """The kind for a list, a set, a tuple of any length."""
    kind = _kind(hint, within)
    if kind is None:
        return None
    of_elements, kinds = kind.many, frozenset([cls])
    return _Kind(
        lambda value: type(value) is cls and of_elements(value),
        lambda values: (
            kinds.issuperset(map(type, found := list(values)))
            and of_elements(chain.from_iterable(found))
        ),
    )


def _dict(args: tuple[Any, ...], within: tuple[Any, ...]) -> _Kind | None:
    keys, parts = _kind(args[0], within), _kind(args[1], within)
    if args[0] not in (str, int, UUID, date) or keys is None or parts is None:
        return None
    kinds, of_keys, of_parts = keys.atoms, keys.many, parts.many
    return _Kind(
        lambda value: (
            type(value) is dict and kinds.issuperset(map(type, value)) and of_parts(value.values())
        ),
        lambda values: (
            _DICT.issuperset(map(type, found := list(values)))
            and of_keys(chain.from_iterable(found))
            and of_parts(chain.from_iterable(map(dict.values, found)))
        ),
    )


_DICT = frozenset([dict])


def _tuple(args: tuple[Any, ...], within: tuple[Any, ...]) -> _Kind | None:
    if len(args) == 2 and args[1] is ...:
        return _elements(tuple, args[0], within)
    return _of_tuples(tuple, [_kind(arg, within) for arg in args])


def _of_tuples(cls: type, kinds: list[_Kind | None]) -> _Kind | None:
    only, lengths = frozenset([cls]), frozenset([len(kinds)])
    return _of_columns(
        kinds,
        lambda found: only.issuperset(map(type, found)) and lengths.issuperset(map(len, found)),
        lambda found: zip(*found, strict=True),
    )


def _of_columns(
    kinds: list[_Kind | None],
    is_of_kind: Callable[[list[Any]], bool],
    columns: Callable[[list[Any]], Columns],
) -> _Kind | None:
    """The kind for values that all have the same fields, of these kinds.

    `is_of_kind` says whether all of some values have them, `columns` gives the values of each.
    """
    checks = [kind.many for kind in kinds if kind]
    if len(checks) < len(kinds):
        return None

    def many(values: Iterable[Any]) -> bool:
        found = list(values)
        return not found or (is_of_kind(found) and all(map(call, checks, columns(found))))

    return _Kind(lambda value: many((value,)), many)


def _with_fields(hint: Any, within: tuple[Any, ...]) -> _Kind | None:
    """The kind for a class of which nothing but its fields makes an instance what it is."""
    try:
        described = fields_of(hint)
    except Exception:  # a name that is not defined (yet)
        return None
    if described is None:
        return None
    cls: Any = get_origin(hint) or hint
    kinds = [_kind(one.type, within) for one in described.all]
    names = [one.name for one in described.all]
    if is_typeddict(cls):
        return _of_keys(names, kinds)
    if issubclass(cls, tuple):
        return _of_tuples(cls, kinds) if cls.__bases__ == (tuple,) else None
    if issubclass(cls, msgspec.Struct):
        is_plain = is_plain_struct(cls) and not hasattr(cls, "__post_init__")
        return _of_attributes(cls, names, kinds, astuple) if is_plain else None
    if not _is_plain_dataclass(cls):
        return None
    if cls.__dictoffset__:
        return None if slot_names(cls) else _of_vars(cls, names, kinds)
    return _of_attributes(cls, names, kinds) if {*slot_names(cls)} == {*names} else None


def _of_keys(names: list[str], kinds: list[_Kind | None]) -> _Kind | None:
    """The kind for a TypedDict, of values that have all its keys."""
    gets, lengths, known = [*map(itemgetter, names)], frozenset([len(names)]), frozenset(names)
    return _of_columns(
        kinds,
        lambda found: (
            _DICT.issuperset(map(type, found))
            and lengths.issuperset(map(len, found))
            and known.issuperset(keys := [*chain.from_iterable(found)])
            and _TEXT.issuperset(map(type, keys))
        ),
        lambda found: (map(get, found) for get in gets),
    )


def _of_attributes(
    cls: Any,
    names: list[str],
    kinds: list[_Kind | None],
    parts: Callable[[Any], tuple[Any, ...]] | None = None,
) -> _Kind | None:
    """The kind for a class whose instances have nothing but their slots.

    `parts` gives all that one instance has.
    """
    gets, only = [*map(attrgetter, names)], frozenset([cls])
    kind = _of_columns(
        kinds,
        lambda found: only.issuperset(map(type, found)),
        lambda found: (map(get, found) for get in gets),
    )
    if kind is None or parts is None:
        return kind
    check = _check_of_parts(kinds)
    return kind._replace(one=lambda value: type(value) is cls and check(parts(value)))


def _of_vars(cls: Any, names: list[str], kinds: list[_Kind | None]) -> _Kind | None:
    """The kind for a class whose instances have their fields in `__dict__`, and nothing else."""
    all_names, only = tuple(names), frozenset([cls])
    known = frozenset([all_names])
    kind = _of_columns(
        kinds,
        lambda found: (
            only.issuperset(map(type, found)) and known.issuperset(map(tuple, map(_vars, found)))
        ),
        lambda found: zip(*map(dict.values, map(_vars, found)), strict=True),
    )
    check = _check_of_parts(kinds)
    return kind and kind._replace(
        one=lambda value: (
            type(value) is cls
            and tuple(fields := value.__dict__) == all_names
            and check(fields.values())
        )
    )


_vars = attrgetter("__dict__")


def _check_of_parts(kinds: list[_Kind | None]) -> Check:
    """The check for the values of all fields of one instance."""
    atoms = tuple(next(iter(kind.atoms)) for kind in kinds if kind and len(kind.atoms) == 1)
    if len(atoms) == len(kinds):
        return lambda parts: tuple(map(type, parts)) == atoms
    checks = [kind.one for kind in kinds if kind]
    return lambda parts: all(map(call, checks, parts))


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
