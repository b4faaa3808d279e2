"""The wire format of a worker: its serializer, and one decoder for each type."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from ltq._codec.exact import exact_check
from ltq._codec.formats import Decode, Format, MsgspecFormat, ObjectFormat
from ltq._codec.kinds import Check
from ltq._codec.lowering import Lowering
from ltq._display.values import short_repr
from ltq.codec import DEFAULT_MAX_PAYLOAD, Serializer
from ltq.errors import ConfigurationError


class Codec:
    """The wire format of a worker: `"json"`, `"msgpack"`, or an object with `dumps` and `loads`."""

    def __init__(
        self, serializer: str | Serializer = "json", max_payload: int = DEFAULT_MAX_PAYLOAD
    ) -> None:
        self.max_payload = max_payload
        """Most bytes of the arguments or the result of one task."""
        self._format = _format(serializer)
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


def _format(serializer: Any) -> Format:
    if isinstance(serializer, str):
        module = {"json": msgspec.json, "msgpack": msgspec.msgpack}.get(serializer)
        if module is not None:
            return MsgspecFormat(module)
    elif all(callable(getattr(serializer, name, None)) for name in ("dumps", "loads")):
        return ObjectFormat(serializer)
    raise ConfigurationError(
        f"serializer={short_repr(serializer)} is not allowed: "
        '"json", "msgpack", or an object with dumps and loads'
    )
