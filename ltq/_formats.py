"""The wire formats: values of an annotated type to bytes and back, and what is lost on the way.

msgspec reads and writes every type of the standard library that has one obvious JSON form. Three
things are added here, by its hooks:

- pydantic models, known by their methods: pydantic is never imported;
- unions msgspec refuses because their arms look alike on the wire (`str | datetime`, two
  dataclasses), and enums of mixed values: `lower` puts a `_Choice` in their place, which tries the
  arms, the most specific first, and takes the one that writes the very data it was read from;
- `difference`, which says what a value would silently turn into (NaN into None, a `UUID` of an
  unannotated parameter into a `str`).
"""

import types
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum, EnumType
from functools import partial
from typing import (
    Annotated,
    Any,
    ForwardRef,
    LiteralString,
    Never,
    NoReturn,
    ParamSpecArgs,
    ParamSpecKwargs,
    Protocol,
    Union,
    get_args,
    get_origin,
)

import msgspec

Decode = Callable[[Any], Any]
"""Reads a part of a body, as `Format.split` or `Format.load` gave it, as a value of one type."""


class Serializer(Protocol):
    """What may be given as `serializer=`: plain JSON-like values to bytes and back."""

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...


class Format(Protocol):
    """A wire format."""

    def encode(self, value: Any, /) -> bytes: ...

    def split(self, body: bytes, /) -> tuple[list[Any], dict[str, Any]]:
        """The arguments in a body, each still to be decoded."""
        ...

    def load(self, data: bytes, /) -> Any:
        """Make of bytes what a `Decode` reads."""
        ...

    def decoder(self, hint: Any, /) -> Decode:
        """What reads values of the type `hint`; raise `TypeError` where there is no such thing."""
        ...


class MsgspecFormat:
    """JSON or MessagePack by msgspec: `module` is `msgspec.json` or `msgspec.msgpack`."""

    def __init__(self, module: Any) -> None:
        self._decoder = module.Decoder
        self.encode: Callable[[Any], bytes] = module.Encoder(enc_hook=_dump).encode
        self.split: Callable[[bytes], tuple[list[Any], dict[str, Any]]] = self._decoder(
            tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]
        ).decode

    def load(self, data: bytes, /) -> Any:
        return data

    def decoder(self, hint: Any, /) -> Decode:
        decode: Decode = self._decoder(hint, dec_hook=_build).decode
        return decode


class ObjectFormat:
    """A user's serializer: it sees plain values only, msgspec does the rest."""

    def __init__(self, serializer: Serializer) -> None:
        self._dumps = serializer.dumps
        self.load: Callable[[bytes], Any] = serializer.loads

    def encode(self, value: Any, /) -> bytes:
        data: Any = self._dumps(msgspec.to_builtins(value, str_keys=True, enc_hook=_dump))
        return data.encode() if isinstance(data, str) else bytes(data)

    def split(self, body: bytes, /) -> tuple[list[Any], dict[str, Any]]:
        return msgspec.convert(self.load(body), tuple[list[Any], dict[str, Any]])

    def decoder(self, hint: Any, /) -> Decode:
        msgspec.json.Decoder(hint)  # refuse the type now, not its first value
        return partial(msgspec.convert, type=hint, str_keys=True, dec_hook=_build)


def _dump(value: Any) -> Any:
    """Encode hook: a pydantic model as plain values."""
    dump = getattr(type(value), "model_dump", None)
    if dump is None:
        raise TypeError(f"there is no wire form of `{type(value).__qualname__}`")
    return dump(value, mode="json", by_alias=True, round_trip=True, warnings=False)


def _build(hint: Any, plain: Any) -> Any:
    """Decode hook: a value of a type that msgspec does not know from plain values."""
    if isinstance(hint, _Choice):
        return hint.pick(plain)
    if hasattr(hint, "model_validate_json"):
        try:  # as JSON: a strict model takes a `datetime` from a text there, and only there
            return hint.model_validate_json(msgspec.json.encode(plain))
        except ValueError as error:
            raise ValueError(_summary(error)) from error
    if isinstance(plain, get_origin(hint) or hint):
        return plain  # an abstract type: `Iterable[int]`, a runtime protocol
    raise TypeError(f"Expected `{_name(hint)}`, got `{type(plain).__qualname__}`")


def _summary(error: Any) -> str:
    """Pydantic's errors in one line, without the values: they may be secrets."""
    if not hasattr(error, "errors"):
        return str(error)
    return "; ".join(
        ".".join(map(str, (*item["loc"], ""))).removesuffix(".") + f": {item['msg']}"
        for item in error.errors(include_url=False)
    )


def _name(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint)


class _Choice(type):
    """Metaclass of the types that stand in for what msgspec refuses: `_build` asks `pick`."""

    pick: Decode

    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec checks what the decode hook made


def _choice(name: str, pick: Decode) -> _Choice:
    return _Choice(name, (), {"pick": staticmethod(pick)})


_OPEN = (ForwardRef, ParamSpecArgs, ParamSpecKwargs)
"""Hints that say nothing: an alias within itself (else it is resolved), another's arguments."""


def lower(hint: Any, form: Format) -> Any:
    """`hint` with a `_Choice` for each part `form` cannot decode; else raise its `TypeError`."""
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
    if hint in (NoReturn, Never) or isinstance(hint, _OPEN):
        return Any
    if isinstance(hint, EnumType) and list(hint):
        return _enum(hint, form)
    alias = getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)
    if alias is not None:  # a NewType, a `type X = ...`
        return lower(alias, form)
    origin: Any = get_origin(hint)
    args = get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(hint, tuple(lower(arm, form) for arm in args), form)
    if origin is Annotated:
        constrained = any(isinstance(item, msgspec.Meta) for item in args[1:])
        return hint if constrained else lower(args[0], form)
    if hasattr(origin, "__class_getitem__"):
        parts = tuple(arg if arg is ... else lower(arg, form) for arg in args)
        return hint if parts == args else origin[parts]
    return str if hint is LiteralString else hint


def _union(hint: Any, arms: tuple[Any, ...], form: Format) -> Any:
    union: Any = Union
    merged = union[arms]
    try:
        form.decoder(merged)
    except TypeError:
        return _choice(_name(hint), _picker(_name(hint), arms, form))
    return merged


def _enum(hint: EnumType, form: Format) -> _Choice:
    """An enum whose values are not all `str` or all `int`."""
    plain = form.decoder(Any)
    members: list[Any] = list(hint)

    def pick(data: Any) -> Any:
        for member in members:
            if repr(plain(form.load(form.encode(member)))) == repr(data):  # 1 is not 1.0
                return member
        raise ValueError(f"Invalid enum value of `{_name(hint)}`")

    return _choice(_name(hint), pick)


def _picker(name: str, arms: tuple[Any, ...], form: Format) -> Decode:
    """Choose the arm of a union: the first that writes the very data, else the first that fits.

    The second is for data of another version of the code: a field was added or removed since.
    """
    plain = form.decoder(Any)
    ordered = sorted(arms, key=_rank)

    def pick(data: Any) -> Any:
        wanted, fitting = _canonical(data), []
        for arm in ordered:
            try:
                value = msgspec.convert(data, arm, str_keys=True, dec_hook=_build)
                written = plain(form.load(form.encode(value)))
            except (ValueError, TypeError):
                continue
            if _canonical(written) == wanted:
                return value
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
    """The more specific, the lower. What is not named above (dates, models, ...) comes first."""
    while get_origin(arm) is Annotated or hasattr(arm, "__supertype__"):
        arm = arm.__origin__ if get_origin(arm) is Annotated else arm.__supertype__
    return _RANKS.get(get_origin(arm) or arm, 0)


def _canonical(plain: Any) -> str:
    """A text that is the same for the same plain data, whatever the order of a set or of keys.

    An order of a list is never lost by decoding it, so there is no need to compare it.
    """
    if isinstance(plain, dict):
        return f"{{{','.join(sorted(f'{k!r}:{_canonical(v)}' for k, v in plain.items()))}}}"
    if isinstance(plain, list | tuple):
        return f"[{','.join(sorted(map(_canonical, plain)))}]"
    return repr(plain)


_PLAIN = (str, int, float, bool, list, dict, bytes)


def difference(sent: Any, got: Any, *, plain: bool = False, path: str = "") -> str:
    """What sending does to a value: empty if `got` is as good as `sent`.

    As good are: an equal value; a base class for its subclass; a list for a tuple; what has the
    same type and cannot be compared. With `plain`, also plain data for any other value.
    """
    if equal(sent, got):
        return ""
    if (pairs := _pairs(sent, got)) is not None:
        steps = (difference(a, b, plain=plain, path=path + step) for step, a, b in pairs)
        return next(filter(None, steps), "")
    if _as_good(sent, got) or (plain and type(got) in _PLAIN and type(sent) is not type(got)):
        return ""
    old = repr(sent) if isinstance(sent, float) else _kind(sent)
    new = "changed" if type(sent) is type(got) else f"as `{_kind(got)}`"
    return f"`{old}` would arrive {new}" + (path and f" - at `${path}`")


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__qualname__


def _as_good(sent: Any, got: Any) -> bool:
    if isinstance(sent, datetime) and isinstance(got, datetime) and sent.tzinfo and got.tzinfo:
        return not sent - got  # `==` is always False where clocks are put back
    if type(sent) is type(got):  # as good if it is NaN, or has no `__eq__`
        compare: Any = type(sent).__eq__
        return (compare is object.__eq__ and not isinstance(sent, Enum)) or not equal(sent, sent)
    return isinstance(sent, type(got)) or (type(sent), type(got)) == (int, float)


def equal(a: Any, b: Any) -> bool:
    """`a == b`, and False where a user's `__eq__` fails."""
    try:
        return bool(a == b)
    except Exception:
        return False


def _pairs(sent: Any, got: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """The parts of two values with the step to them, None if the two are not alike."""
    sequence = list if isinstance(sent, list) else list | tuple
    if isinstance(sent, list | tuple) and isinstance(got, sequence):
        return ((f"[{i}]", a, b) for i, (a, b) in enumerate(zip(sent, got, strict=False)))
    if isinstance(sent, dict) and isinstance(got, dict):
        return _items(sent, got) if len(sent) == len(got) else None
    if isinstance(sent, type(got)) and (new := _fields(got)) is not None:
        old = _fields(sent) or {}
        return _items({name: old.get(name) for name in new}, new)
    return None


def _items(sent: Mapping[Any, Any], got: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]]:
    same = sent.keys() == got.keys()
    for (key, value), other in zip(sent.items(), got, strict=False):
        yield "[...]", key, key if same else other
        yield f".{key}", value, got[key if same else other]


def _fields(value: Any) -> dict[str, Any] | None:
    kind = type(value)
    if hasattr(kind, "model_dump"):
        return dict(value.model_dump(warnings=False))
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    return None if names is None else {name: getattr(value, name, None) for name in names}
