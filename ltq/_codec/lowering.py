"""Types that msgspec refuses, as types that it takes.

`Lowering.lower` leaves a type as it is if msgspec reads it. Otherwise it replaces the parts of it
that msgspec does not read by a `Choice`, whose `pick` makes the value from plain data: a union of
arms that look alike, a `type` alias that names itself, a dataclass with such a field.

A class that is not data is read by nobody. It is refused here, not when the first value is sent.
"""

import types
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Reversible
from enum import EnumType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    LiteralString,
    Never,
    NoReturn,
    ParamSpecArgs,
    ParamSpecKwargs,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import msgspec

from ltq._codec.aliases import MOST_NESTED, is_alias, is_beyond, value_of, with_defaults
from ltq._codec.fields import Fields, fields_of
from ltq._codec.formats import Choice, Format, build, can_be_built, choice, type_name
from ltq._codec.unions import mixed_enum, one_of, picker, refuse_twins
from ltq._codec.unpacked import parts_of_tuple, unpacked

_OPEN = (ForwardRef, ParamSpecArgs, ParamSpecKwargs)
"""Hints that say nothing: an alias within itself, or the arguments of another function."""

_ANY_ORDER = (Iterable, Container, Reversible)
"""Types that a list is of, although msgspec does not say so."""


class NoWireFormError(TypeError):
    """A class whose values nobody writes or reads."""


class Lowering:
    """Lowers types for one wire format.

    With `partly`, an arm of a union may be a type that cannot travel, if another one can.
    """

    def __init__(self, form: Format, *, partly: bool = False) -> None:
        self._form = form
        self._partly = partly
        self._open: dict[Any, _Knot] = {}
        """Aliases and classes that are being lowered, or that name themselves."""
        self._selves: list[Any] = []

    def lower(self, hint: Any) -> Any:
        """A type that the format decodes. Raises `TypeError` if there is none."""
        hint = with_defaults(hint)
        knot = self._known(hint)
        if knot is not None:
            return knot.used()
        if is_alias(hint):
            return self._tied(hint, lambda: self.lower(value_of(hint)))
        try:
            if is_beyond(hint, (), set()):
                raise RecursionError  # msgspec takes long to find out, or never does
            self._try(hint)
        except (TypeError, RecursionError) as refusal:
            lowered = self._lower(hint)
            if lowered is hint:
                raise _type_error(refusal, hint) from None
            try:
                self._try(lowered)
            except (TypeError, RecursionError):
                raise _type_error(refusal, hint) from None
            return lowered
        return hint

    def _known(self, hint: Any) -> "_Knot | None":
        try:
            return self._open.get(hint)
        except TypeError:  # not hashable
            return None

    def _try(self, hint: Any) -> None:
        """Raise `TypeError` unless the format decodes the type, and values of it can travel."""
        self._form.decoder(hint)
        parts = _parts(hint)
        for part in parts:
            if isinstance(part, msgspec.inspect.DictType) and _customs(
                [*_nodes(part.key_type, set())]
            ):
                raise TypeError(f"`{type_name(hint)}` has keys that a hook makes")
        for cls in _customs(parts):
            if cls in _ANY_ORDER and hint is not cls:
                raise TypeError(f"`{type_name(hint)}` says nothing to msgspec")
            if not can_be_built(cls):
                raise NoWireFormError(f"`{type_name(cls)}` has no wire form")

    def _lower(self, hint: Any) -> Any:
        """What replaces a hint that the format cannot decode: `hint` itself if nothing can."""
        if hint in (NoReturn, Never) or isinstance(hint, _OPEN):
            return Any
        if hint is LiteralString:
            return str
        if hint is Self and self._selves:
            return self.lower(self._selves[-1])
        if isinstance(hint, TypeVar):
            limits = hint.__constraints__ or (hint.__bound__,)
            return self._union(hint, limits)
        return self._lower_named(hint)

    def _lower_named(self, hint: Any) -> Any:
        """The same for an enum, an alias, a class of fields, a hint with arguments."""
        if isinstance(hint, EnumType):
            return mixed_enum(hint, self._form) if list(hint) else hint
        if hasattr(hint, "__supertype__"):  # a NewType
            return self.lower(hint.__supertype__)
        fields = fields_of(hint)
        if fields is not None:
            return self._tied(hint, lambda: self._class(hint, fields))
        return self._generic(hint, get_origin(hint), get_args(hint))

    def _generic(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Any:
        """The same for a hint with arguments: a union, an `Annotated`, a `list[...]`."""
        if origin in (Union, types.UnionType):
            return self._union(hint, args)
        if origin is Literal:
            return one_of(hint, args, self._form)
        if origin is Annotated:
            is_constrained = any(isinstance(item, msgspec.Meta) for item in args[1:])
            return hint if is_constrained else self.lower(args[0])
        if origin in _ANY_ORDER:
            return self.lower(types.GenericAlias(list, args[:1] or (Any,)))
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            return self._mapping(hint, origin, args)
        if origin is tuple and any(unpacked(arg) is not None for arg in args):
            return self._tuple(hint)
        if hasattr(origin, "__class_getitem__"):
            lowered = tuple(arg if arg is ... else self.lower(arg) for arg in args)
            return hint if lowered == args else origin[lowered]
        return hint

    def _union(self, hint: Any, args: tuple[Any, ...]) -> Any:
        """The union of the lowered arms, or a `Choice` if the format cannot tell these apart."""
        arms = tuple(self._arms(args))
        refuse_twins(arms)
        union: Any = Union
        merged = union[arms]
        try:
            self._try(merged)
        except TypeError:
            return choice(type_name(hint), picker(type_name(hint), arms, self._form))
        return merged

    def _arms(self, args: tuple[Any, ...]) -> list[Any]:
        """The lowered arms of a union, and those of aliases for unions among them."""
        arms, refusals = [], []
        for arg in args:
            value = value_of(arg) if is_alias(arg) and self._known(arg) is None else arg
            if get_origin(value) in (Union, types.UnionType):
                arms += self._arms(get_args(value))
                continue
            try:
                arms.append(self.lower(arg))
            except TypeError as refusal:
                refusals.append(refusal)
                if not self._partly:
                    raise
        if not arms:
            raise refusals[0]
        return arms

    def _mapping(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Any:
        """The same for a mapping. `msgspec.convert` leaves keys as they are that a hook makes."""
        key, value = map(self.lower, args)
        if not _customs(_parts(key)):
            return hint if (key, value) == args else origin[key, value]

        def pick(data: Any) -> Any:
            if not isinstance(data, dict):
                raise TypeError(f"Expected `object`, got `{type(data).__qualname__}`")
            return {_convert(one, key): _convert(part, value) for one, part in data.items()}

        return choice(type_name(hint), pick)

    def _tuple(self, hint: Any) -> Choice:
        """A `Choice` for a tuple of any number of values between fixed ones."""
        first, each, last = parts_of_tuple(hint)
        before, after = [*map(self.lower, first)], [*map(self.lower, last)]
        between = Any if each is None else self.lower(each)

        def pick(data: Any) -> Any:
            more = len(data) - len(before) - len(after) if isinstance(data, list | tuple) else -1
            if more < 0 or (more and each is None):
                raise ValueError(f"Expected `{type_name(hint)}`")
            parts = [*before, *[between] * more, *after]
            return tuple(map(_convert, data, parts))

        return choice(type_name(hint), pick)

    def _tied(self, hint: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes of a type that may name itself."""
        origin = get_origin(hint)
        if origin and sum(get_origin(one) is origin for one in self._open) > MOST_NESTED:
            raise TypeError(f"`{type_name(origin)}` names itself with ever new arguments")
        knot = self._open[hint] = _Knot(type_name(hint))
        try:
            made = make()
            knot.tie(made)
        except BaseException:
            del self._open[hint]
            raise
        if not knot.is_used:
            del self._open[hint]
        return made

    def _class(self, hint: Any, fields: Fields) -> Any:
        """A `Choice` for a class of fields of which msgspec refuses some."""
        self._selves.append(hint)
        try:
            lowered = [self.lower(one.type) for one in fields.all]
        finally:
            self._selves.pop()
        is_changed = any(new is not one.type for new, one in zip(lowered, fields.all, strict=True))
        if not is_changed and not fields.has_qualifiers:
            return hint
        mirror = fields.mirror(lowered)

        def pick(data: Any) -> Any:
            return fields.made(_convert(data, mirror))

        return choice(type_name(hint), pick)


class _Knot:
    """Stands for a type within itself."""

    def __init__(self, name: str) -> None:
        self.is_used = False
        self._target: Any = Any
        self._choice = choice(name, lambda data: _convert(data, self._target))

    def used(self) -> Choice:
        """What stands for the type."""
        self.is_used = True
        return self._choice

    def tie(self, target: Any) -> None:
        """Say what the type is. Raises `TypeError` if it is nothing but itself."""
        if target is self._choice:
            raise TypeError(f"`{type_name(target)}` stands for itself")
        self._target = target


def _convert(data: Any, hint: Any) -> Any:
    return msgspec.convert(data, hint, str_keys=True, dec_hook=build)


def _customs(parts: list[Any]) -> list[Any]:
    """The classes among the parts of a type that msgspec leaves to hooks."""
    return [one.cls for one in parts if isinstance(one, msgspec.inspect.CustomType)]


def _parts(hint: Any) -> list[Any]:
    """How msgspec describes a type, all parts of it, and its fields."""
    try:
        return list(_nodes(msgspec.inspect.type_info(hint), set()))
    except TypeError:  # it describes a little less than it decodes
        return []


def _nodes(info: Any, seen: set[int]) -> Iterator[Any]:
    """All parts of a type's description."""
    if isinstance(info, tuple):
        for one in info:
            yield from _nodes(one, seen)
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and id(info) not in seen:
        seen.add(id(info))
        yield info
        for name in info.__struct_fields__:
            if not name.startswith("default"):
                yield from _nodes(getattr(info, name), seen)


def _type_error(error: Exception, hint: Any) -> TypeError:
    if isinstance(error, TypeError):
        return error
    return TypeError(f"`{type_name(hint)}` names itself without end")
