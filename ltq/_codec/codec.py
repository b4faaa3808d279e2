"""The wire format of a worker: its serializer, and one decoder for each type."""

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

import msgspec

from ltq._codec.exact import exact_check
from ltq._codec.formats import Decode, Format, MsgspecFormat, ObjectFormat
from ltq._codec.kinds import Check
from ltq._codec.lowering import Lowering
from ltq._display.values import short_repr
from ltq.codec import DEFAULT_MAX_PAYLOAD, DEFAULT_SERIALIZER, Serializer
from ltq.errors import ConfigurationError, DecodeError


class UnknownSerializerError(DecodeError):
    """These bytes name a serializer that is not known here. Another process may know it."""


class Codec:
    """The wire format of a worker: `"json"`, `"msgpack"`, or an object with `dumps` and `loads`."""

    def __init__(
        self, serializer: str | Serializer = "json", max_payload: int = DEFAULT_MAX_PAYLOAD
    ) -> None:
        self.max_payload = max_payload
        """Most bytes of the arguments or the result of one task."""
        self.serializer: str = name_of_serializer(serializer)
        """The name that what it writes carries."""
        self._format = _format(serializer)
        self._others: dict[str, Codec] = {}
        self._decoders: dict[Any, Decode] = {}
        self._hints: dict[Decode, Any] = {}
        self._checks: dict[Decode, Check | None] = {}
        self.encode: Callable[[Any], bytes] = self._format.encode
        self.forms: tuple[Callable[[Any], bytes], ...] = (
            self.encode,
            self._format.encode_otherwise,
        )
        """`encode`, and what writes another form for values that do not arrive in the first."""
        self.split: Callable[[bytes], tuple[list[Any], dict[str, Any]]] = self._format.split
        self.load: Callable[[bytes], Any] = self._format.load

    def reads(self, serializer: str, data: bytes) -> "Codec":
        """The codec that reads what carries this name: `"json"` and `"msgpack"` are always known.

        Raises `UnknownSerializerError`.
        """
        if serializer == self.serializer:
            return self
        if serializer not in _MODULES:
            known = ", ".join(dict.fromkeys((self.serializer, *_MODULES)))
            raise UnknownSerializerError(
                f"it is encoded with {short_repr(serializer)}, which is not known here: "
                f"known are {known}"
            )
        if serializer == DEFAULT_SERIALIZER and not is_json(data):
            return self  # it was published without a name
        if serializer not in self._others:
            self._others[serializer] = Codec(serializer, self.max_payload)
        return self._others[serializer]

    def in_json(self, data: bytes) -> bytes:
        """An encoded value as JSON, without its type. Raises what its decoder raises."""
        if self.serializer == DEFAULT_SERIALIZER:
            return data
        return msgspec.json.encode(self.decoder(Any)(self.load(data)))

    def decoder(self, hint: Any, /, *, partly: bool = False) -> Decode:
        """The decoder of a type, made once. Raises `TypeError` for a type that cannot travel.

        With `partly`, some of the values of the type have to travel, not each.
        """
        try:
            return self._decoders[hint, repr(hint), partly]
        except (KeyError, TypeError):  # TypeError: not hashable
            lowered = Lowering(self._format, partly=partly).lower(hint)
            decode = self._format.decoder(lowered)
        self._hints[decode] = hint
        with suppress(TypeError):  # `A | B` equals `B | A`, but is decoded differently
            self._decoders[hint, repr(hint), partly] = decode
        return decode

    def hint_of(self, decode: Decode) -> Any:
        """The type that a decoder of this codec was made for."""
        return self._hints.get(decode, Any)

    def exact_check(self, decode: Decode) -> Check | None:
        """What sees that a value arrives as it was through a decoder; None if nothing can."""
        if decode not in self._checks:
            is_exact = self._format.is_exact
            self._checks[decode] = exact_check(self.hint_of(decode)) if is_exact else None
        return self._checks[decode]


def as_item(data: bytes, serializer: str) -> bytes:
    """The bytes of an item of a stream: an encoded value, and what it is encoded with.

    That is said if it is not JSON, between two zeros before the value: JSON never begins with one.
    """
    return data if serializer == DEFAULT_SERIALIZER else b"\0%b\0%b" % (serializer.encode(), data)


def split_item(item: bytes) -> tuple[str, bytes]:
    """The name of what an item is encoded with, and its encoded value."""
    if not item.startswith(b"\0"):
        return DEFAULT_SERIALIZER, item
    name, _, data = item[1:].partition(b"\0")
    return name.decode("utf-8", "replace"), data


_MODULES: dict[str, Any] = {"json": msgspec.json, "msgpack": msgspec.msgpack}
"""What encodes the formats that every process knows."""


def is_json(data: bytes) -> bool:
    """Whether bytes are JSON."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def name_of_serializer(serializer: Any) -> str:
    """The name of a serializer: see `Serializer`."""
    if isinstance(serializer, str):
        return serializer
    name = getattr(serializer, "name", None)
    if isinstance(name, str) and name:
        return name
    if isinstance(serializer, ModuleType):
        return serializer.__name__
    kind = serializer if isinstance(serializer, type) else type(serializer)
    return kind.__qualname__


def _format(serializer: Any) -> Format:
    if isinstance(serializer, str):
        module = _MODULES.get(serializer)
        if module is not None:
            return MsgspecFormat(module)
    elif all(callable(getattr(serializer, name, None)) for name in ("dumps", "loads")):
        return ObjectFormat(serializer)
    raise ConfigurationError(
        f"serializer={short_repr(serializer)} is not allowed: "
        '"json", "msgpack", or an object with dumps and loads'
    )
