"""Choosing among arms that look alike on the wire, and among enum members of mixed values.

The `Choice` for such a type, `str | datetime` or a union of two dataclasses, tries the arms, the
most specific first, and takes the first that writes exactly the data it read.
"""

from collections.abc import Sequence
from enum import EnumType
from typing import Annotated, Any, get_origin

import msgspec

from ltq._codec.formats import Choice, Decode, Format, build, choice, type_name
from ltq._codec.scalars import is_path


def mixed_enum(hint: EnumType, form: Format) -> Choice:
    """A `Choice` for an enum whose values are not all `str` or all `int`."""
    return one_of(hint, list(hint), form)


def one_of(hint: Any, members: Sequence[Any], form: Format) -> Choice:
    """A `Choice` among some values: the members of an enum, or of a `Literal`."""
    plain = form.decoder(Any)

    def pick(data: Any) -> Any:
        for member in members:
            if repr(plain(form.load(form.encode(member)))) == repr(data):  # 1 is not 1.0
                return member
        raise ValueError(f"Invalid enum value of `{type_name(hint)}`")

    return choice(type_name(hint), pick)


def refuse_twins(arms: Sequence[Any]) -> None:
    """Raise `TypeError` if an arm of a union reads every text, as `Path` does, beside another."""
    texts = [arm for arm in arms if is_path(arm)]
    if texts and (str in arms or len(texts) > 1):
        others = [type_name(arm) for arm in arms if arm is str or arm in texts]
        raise TypeError(f"`{'` and `'.join(others)}` look alike on the wire")


def picker(name: str, arms: tuple[Any, ...], form: Format) -> Decode:
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
    if is_path(arm):
        return _RANKS[str]  # it reads every text
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
