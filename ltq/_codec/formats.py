"""The wire formats: values of an annotated type to bytes and back, with msgspec and its hooks.

msgspec reads and writes every type of the standard library that has one obvious JSON form. Its
hooks add three things: pydantic models, recognised by their methods (pydantic is never imported),
subclasses of built-in types such as `SafeString`, which are written as these, and the `Choice`
types that replace types which msgspec refuses (see `unions`).

Each format has another form for what does not arrive in the first: models by the names of their
fields instead of their aliases, and in MessagePack datetimes as texts, which keep their offset.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Protocol, get_args, get_origin

import msgspec

from ltq._codec.scalars import as_scalar, base_of, is_text, text_of
from ltq.codec import Serializer

Decode = Callable[[Any], Any]
"""Turns a part of a body, as `Format.split` or `Format.load` returns it, into a value of a type."""

_PLAIN: tuple[Any, ...] = ("", 0, 0.0, True, [], {}, b"")
"""A value of each type that there is without annotations."""


class Format(Protocol):
    """A wire format."""

    is_exact: bool
    """Whether it reads exactly what it wrote of values that `exact_check` knows."""

    def encode(self, value: Any, /) -> bytes: ...

    def encode_otherwise(self, value: Any, /) -> bytes:
        """The other form of a value, which the same decoders read."""
        ...

    def split(self, body: bytes, /) -> tuple[list[Any], dict[str, Any]]:
        """The arguments in a body, each still to be decoded."""
        ...

    def load(self, data: bytes, /) -> Any:
        """The bytes of a value, in the form that a `Decode` reads."""
        ...

    def decoder(self, hint: Any, /) -> Decode:
        """The decoder of the type `hint`. Raises `TypeError` for a type that cannot be read."""
        ...


class MsgspecFormat:
    """JSON or MessagePack by msgspec: `module` is `msgspec.json` or `msgspec.msgpack`."""

    is_exact = True

    def __init__(self, module: Any) -> None:
        self._decoder = module.Decoder
        self._encode_plain: Callable[[Any], bytes] = module.Encoder().encode
        self._is_json = module is msgspec.json
        self.encode: Callable[[Any], bytes] = module.Encoder(enc_hook=_dump).encode
        self.split: Callable[[bytes], tuple[list[Any], dict[str, Any]]] = self._decoder(
            tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]
        ).decode

    def encode_otherwise(self, value: Any, /) -> bytes:
        native = () if self._is_json else (bytes, bytearray, memoryview)
        plain = msgspec.to_builtins(
            value, builtin_types=native, str_keys=self._is_json, enc_hook=_dump_by_name
        )
        return self._encode_plain(plain)

    def load(self, data: bytes, /) -> Any:
        return data

    def decoder(self, hint: Any, /) -> Decode:
        decode: Decode = self._decoder(hint, dec_hook=build).decode
        return decode


class ObjectFormat:
    """A user's serializer. It sees plain values only; msgspec does the rest."""

    is_exact = False

    def __init__(self, serializer: Serializer) -> None:
        self._dumps = serializer.dumps
        self.load: Callable[[bytes], Any] = serializer.loads

    def encode(self, value: Any, /) -> bytes:
        return self._write(value, _dump)

    def encode_otherwise(self, value: Any, /) -> bytes:
        return self._write(value, _dump_by_name)

    def _write(self, value: Any, hook: Callable[[Any], Any]) -> bytes:
        data: Any = self._dumps(msgspec.to_builtins(value, str_keys=True, enc_hook=hook))
        return data.encode() if isinstance(data, str) else bytes(data)

    def split(self, body: bytes, /) -> tuple[list[Any], dict[str, Any]]:
        return msgspec.convert(self.load(body), tuple[list[Any], dict[str, Any]])

    def decoder(self, hint: Any, /) -> Decode:
        msgspec.json.Decoder(hint)  # refuse the type now, not its first value
        return partial(msgspec.convert, type=hint, str_keys=True, dec_hook=build)


def _dump(value: Any, *, by_alias: bool = True) -> Any:
    """Encode hook: a pydantic model as plain values, a scalar of a subclass as its base, a text."""
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return dump(value, mode="json", by_alias=by_alias, round_trip=True, warnings=False)
    if is_text(type(value)):
        return text_of(value)
    base = base_of(value)
    if base is None:
        raise TypeError(f"`{type(value).__qualname__}` has no wire form")
    return as_scalar(base, value)


_dump_by_name = partial(_dump, by_alias=False)


def build(hint: Any, plain: Any) -> Any:
    """Decode hook: plain values as a value of a type that msgspec does not know."""
    if isinstance(hint, Choice):
        return hint.pick(plain)
    if hasattr(hint, "model_validate_json"):
        return _validated(hint, msgspec.json.encode(plain))
    if isinstance(plain, str) and is_text(hint):
        return hint(plain)
    if isinstance(plain, get_origin(hint) or hint):
        return plain  # of an abstract type: `Iterable[int]`, a runtime protocol
    raise TypeError(f"Expected `{type_name(hint)}`, got `{type(plain).__qualname__}`")


def _validated(model: Any, data: bytes) -> Any:
    """A pydantic model from JSON: only from JSON does a strict model take a text for a datetime.

    Its fields may have their aliases or their names, where pydantic knows how (from 2.11 on).
    """
    try:
        if _reads_names(model):
            return model.model_validate_json(data, by_alias=True, by_name=True)
        return model.model_validate_json(data)
    except ValueError as error:
        raise ValueError(_summary(error)) from error


@lru_cache(maxsize=1024)
def _reads_names(model: Any) -> bool:
    return "by_name" in inspect.signature(model.model_validate_json).parameters


def can_be_built(cls: Any) -> bool:
    """Whether `build` makes any value of a class that msgspec does not know."""
    if isinstance(cls, Choice) or hasattr(cls, "model_validate_json"):
        return True
    try:
        return is_text(cls) or any(isinstance(plain, cls) for plain in _PLAIN)
    except TypeError:  # a protocol that is not for the time when the program runs
        return False


def _summary(error: Any) -> str:
    """Pydantic's errors in one line, without the values: they may be secrets."""
    if not hasattr(error, "errors"):
        return str(error)
    return "; ".join(
        ".".join(map(str, (*item["loc"], ""))).removesuffix(".") + f": {item['msg']}"
        for item in error.errors(include_url=False)
    )


def type_name(hint: Any) -> str:
    """What an error calls a type."""
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint)


class Choice(type):
    """Metaclass of types that replace those which msgspec refuses: `build` calls their `pick`."""

    pick: Decode

    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec checks what the decode hook made


def choice(name: str, pick: Decode) -> Choice:
    """A type whose values `pick` makes from plain ones."""
    return Choice(name, (), {"pick": staticmethod(pick)})
