"""Types that msgspec refuses: unions whose arms look alike on the wire, and enums of mixed values.

`lower` replaces such a type, `str | datetime` or a union of two dataclasses, by a `Choice`. That
tries the arms, the most specific first, and takes the first that writes exactly the data it read.
"""

import types
from enum import EnumType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    LiteralString,
    Never,
    NoReturn,
    ParamSpecArgs,
    ParamSpecKwargs,
    Union,
    get_args,
    get_origin,
)

import msgspec

from ltq._codec.formats import Choice, Decode, Format, build, choice, type_name

_OPEN = (ForwardRef, ParamSpecArgs, ParamSpecKwargs)
"""Hints that say nothing: an alias within itself, or the arguments of another function."""


def lower(hint: Any, form: Format) -> Any:
    """`hint` with a `Choice` for each part that `form` cannot decode.

    Raises the `TypeError` of `form` if that does not help.
    """
    try:
        form.decoder(hint)
    except TypeError as refusal:
        lowered = _lower(hint, form)
        if lowered is hint:
            raise
        try:
            form.decoder(lowered)
        except TypeError:
            raise refusal from None
        return lowered
    return hint


def _lower(hint: Any, form: Format) -> Any:
    """What replaces a hint that `form` cannot decode: `hint` itself if nothing can."""
    if hint in (NoReturn, Never) or isinstance(hint, _OPEN):
        return Any
    if hint is LiteralString:
        return str
    if isinstance(hint, EnumType):
        return _enum(hint, form) if list(hint) else hint
    alias = getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)
    if alias is not None:  # a NewType, a `type X = ...`
        return lower(alias, form)
    return _lower_generic(hint, get_origin(hint), get_args(hint), form)


def _lower_generic(hint: Any, origin: Any, args: tuple[Any, ...], form: Format) -> Any:
    """The same for a hint with arguments: a union, an `Annotated`, a `list[...]`."""
    if origin in (Union, types.UnionType):
        return _union(hint, args, form)
    if origin is Annotated:
        is_constrained = any(isinstance(item, msgspec.Meta) for item in args[1:])
        return hint if is_constrained else lower(args[0], form)
    if hasattr(origin, "__class_getitem__"):
        lowered = tuple(arg if arg is ... else lower(arg, form) for arg in args)
        return hint if lowered == args else origin[lowered]
    return hint


def _union(hint: Any, args: tuple[Any, ...], form: Format) -> Any:
    """The union of the lowered arms, or a `Choice` if `form` cannot tell these apart."""
    arms = tuple(lower(arg, form) for arg in args)
    union: Any = Union
    merged = union[arms]
    try:
        form.decoder(merged)
    except TypeError:
        return choice(type_name(hint), _picker(type_name(hint), arms, form))
    return merged


def _enum(hint: EnumType, form: Format) -> Choice:
    """A `Choice` for an enum whose values are not all `str` or all `int`."""
    plain = form.decoder(Any)
    members: list[Any] = list(hint)

    def pick(data: Any) -> Any:
        for member in members:
            if repr(plain(form.load(form.encode(member)))) == repr(data):  # 1 is not 1.0
                return member
        raise ValueError(f"Invalid enum value of `{type_name(hint)}`")

    return choice(type_name(hint), pick)


def _picker(name: str, arms: tuple[Any, ...], form: Format) -> Decode:
    """Returns what picks the arm of a union: the first that writes the same data it read.

    If there is none, the first arm that fits: the data may come from another version of the code,
    with a field more or less.
    """
    plain = form.decoder(Any)
    ordered = sorted(arms, key=_rank)

    def pick(data: Any) -> Any:
        wanted, fitting = _canonical(data), []
        for arm in ordered:
            try:
                value = msgspec.convert(data, arm, str_keys=True, dec_hook=build)
                for encode in (form.encode, form.encode_otherwise):
                    if _canonical(plain(form.load(encode(value)))) == wanted:
                        return value
            except (ValueError, TypeError):
                continue
            fitting.append(value)
        if fitting:
            return fitting[0]
        raise ValueError(f"Expected `{name}`, got `{type(data).__qualname__}`")

    return pick


_RANKS: dict[Any, int] = {
    **dict.fromkeys((bytes, bytearray, memoryview, set, frozenset, tuple), 1),
    **dict.fromkeys((int, list, dict), 2),
    float: 3,  # reads an int as well
    str: 4,
    Any: 5,
    object: 5,
}


def _rank(arm: Any) -> int:
    """A number that is lower for more specific types; types not named above come first."""
    while get_origin(arm) is Annotated or hasattr(arm, "__supertype__"):
        arm = arm.__origin__ if get_origin(arm) is Annotated else arm.__supertype__
    return _RANKS.get(get_origin(arm) or arm, 0)


def _canonical(plain: Any) -> str:
    """A text that is the same for the same plain data, in whatever order sets and keys are.

    Lists are sorted too: a set was written as a list, and decoding never reorders a real one.
    """
    if isinstance(plain, dict):
        return f"{{{','.join(sorted(f'{k!r}:{_canonical(v)}' for k, v in plain.items()))}}}"
    if isinstance(plain, list | tuple):
        return f"[{','.join(sorted(map(_canonical, plain)))}]"
    return repr(plain)
