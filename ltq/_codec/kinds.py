"""Looking at the types of values, of one or of many together.

Many values are looked at column by column: all their keys, all their values of one field. The loops
are then those of `map` and `issuperset`, which are several times as fast as calls for each value.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter, call, itemgetter
from typing import Any, NamedTuple

from msgspec.structs import astuple

Check = Callable[[Any], bool]
"""Whether a value is of a kind; False also if that is not certain."""


class Kind(NamedTuple):
    """How it is seen that values are of a kind."""

    one: Check
    """Whether one value is."""
    many: Callable[[Iterable[Any]], bool]
    """Whether all of some values are, through which it goes once."""
    atoms: frozenset[type] = frozenset()
    """The types of the values, if these say all."""


Kinds = Sequence[Kind]
"""Those of the fields of a class, or of the places of a tuple."""

_NONE = type(None)
_TEXT = frozenset([str])
_DICT = frozenset([dict])


def of_types(*kinds: type) -> Kind:
    """Values of exactly these types."""
    atoms = frozenset(kinds)
    return Kind(
        lambda value: type(value) in atoms,
        lambda values: atoms.issuperset(map(type, values)),
        atoms,
    )


def or_none(kind: Kind) -> Kind:
    """Values of a kind, and None."""
    one, many = kind.one, kind.many
    if kind.atoms:
        return of_types(*kind.atoms, _NONE)
    return Kind(
        lambda value: value is None or one(value),
        lambda values: many([value for value in values if value is not None]),
    )


def members(cls: type, known: frozenset[Any]) -> Kind:
    """Some values of a type."""
    only = frozenset([cls])

    def many(values: Iterable[Any]) -> bool:
        found = [*values]
        return only.issuperset(map(type, found)) and known.issuperset(found)

    return Kind(lambda value: type(value) is cls and value in known, many)


def elements(cls: Any, kind: Kind) -> Kind:
    """Lists, sets, tuples of any length with elements of a kind."""
    of_elements, only = kind.many, frozenset([cls])

    def many(values: Iterable[Any]) -> bool:
        found = [*values]
        return only.issuperset(map(type, found)) and of_elements(chain.from_iterable(found))

    return Kind(lambda value: type(value) is cls and of_elements(value), many)


def dicts(keys: Kind, parts: Kind) -> Kind:
    """Dicts with keys and values of these kinds."""
    of_keys, of_parts = keys.many, parts.many

    def many(values: Iterable[Any]) -> bool:
        found = [*values]
        return (
            _DICT.issuperset(map(type, found))
            and of_keys(chain.from_iterable(found))
            and of_parts(chain.from_iterable(map(dict.values, found)))
        )

    return Kind(
        lambda value: type(value) is dict and of_keys(value) and of_parts(value.values()), many
    )


def tuples(cls: Any, kinds: Kinds) -> Kind:
    """Tuples with places of these kinds."""
    only, count, lengths = frozenset([cls]), len(kinds), frozenset([len(kinds)])
    of_parts = _check_of_parts(kinds)

    def are_whole(found: list[Any]) -> bool:
        return only.issuperset(map(type, found)) and lengths.issuperset(map(len, found))

    return Kind(
        lambda value: type(value) is cls and len(value) == count and of_parts(value),
        _by_columns(kinds, are_whole, lambda found: zip(*found, strict=True)),
    )


def keyed(names: Sequence[str], kinds: Kinds) -> Kind:
    """Dicts with exactly these keys, and values of these kinds."""
    gets, known, lengths = [*map(itemgetter, names)], frozenset(names), frozenset([len(names)])
    of_parts = _check_of_parts(kinds)

    def are_whole(found: list[Any]) -> bool:
        keys = [*chain.from_iterable(found)] if _DICT.issuperset(map(type, found)) else [None]
        return (
            _TEXT.issuperset(map(type, keys))
            and known.issuperset(keys)
            and lengths.issuperset(map(len, found))
        )

    return Kind(
        lambda value: are_whole([value]) and of_parts([value[name] for name in names]),
        _by_columns(kinds, are_whole, lambda found: [map(get, found) for get in gets]),
    )


def with_slots(cls: Any, names: Sequence[str], kinds: Kinds) -> Kind:
    """Instances of a class that have these slots, and nothing else."""
    gets, only = [*map(attrgetter, names)], frozenset([cls])
    of_parts = _check_of_parts(kinds)
    return Kind(
        lambda value: type(value) is cls and of_parts([get(value) for get in gets]),
        _by_columns(
            kinds,
            lambda found: only.issuperset(map(type, found)),
            lambda found: [map(get, found) for get in gets],
        ),
    )


def structs(cls: Any, names: Sequence[str], kinds: Kinds) -> Kind:
    """Instances of a Struct that have these fields, and nothing else."""
    of_parts = _check_of_parts(kinds)
    return with_slots(cls, names, kinds)._replace(
        one=lambda value: type(value) is cls and of_parts(astuple(value))
    )


def with_vars(cls: Any, names: Sequence[str], kinds: Kinds) -> Kind:
    """Instances of a class that have these attributes in `__dict__`, and nothing else."""
    all_names, only = tuple(names), frozenset([cls])
    known, of_parts = frozenset([all_names]), _check_of_parts(kinds)

    def are_whole(found: list[Any]) -> bool:
        return only.issuperset(map(type, found)) and known.issuperset(map(tuple, _vars(found)))

    return Kind(
        lambda value: (
            type(value) is cls
            and tuple(parts := value.__dict__) == all_names
            and of_parts(parts.values())
        ),
        _by_columns(
            kinds, are_whole, lambda found: zip(*map(dict.values, _vars(found)), strict=True)
        ),
    )


def _vars(values: list[Any]) -> Iterable[dict[str, Any]]:
    return map(attrgetter("__dict__"), values)


def _by_columns(
    kinds: Kinds,
    are_whole: Callable[[list[Any]], bool],
    columns: Callable[[list[Any]], Iterable[Iterable[Any]]],
) -> Callable[[Iterable[Any]], bool]:
    """What looks at many values that have the same fields, of these kinds.

    `are_whole` says whether they have, and `columns` gives what they have in each field.
    """
    checks = [kind.many for kind in kinds]

    def many(values: Iterable[Any]) -> bool:
        found = [*values]
        return not found or (are_whole(found) and all(map(call, checks, columns(found))))

    return many


def _check_of_parts(kinds: Kinds) -> Check:
    """The check for all parts of one value."""
    atoms = tuple(next(iter(kind.atoms)) for kind in kinds if len(kind.atoms) == 1)
    if len(atoms) == len(kinds):
        return lambda parts: tuple(map(type, parts)) == atoms
    checks = [kind.one for kind in kinds]
    return lambda parts: all(map(call, checks, parts))
