"""Why a value cannot travel. This is slow, so it is asked only after something has gone wrong."""

from contextlib import suppress
from typing import Any

import msgspec

from ltq._codec.codec import Codec
from ltq._codec.formats import Decode
from ltq._codec.roundtrip import difference


class Explainer:
    """Explains why a value cannot be sent in one wire format."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._decode_plain = codec.decoder(Any)

    def why_unsendable(self, value: Any, decode: Decode, *, plain: bool = False) -> str:
        """Why a value cannot be sent as the type that `decode` reads; empty if it can be.

        With `plain`, the value may arrive as plain data.
        """
        try:
            part = self._codec.load(self._codec.encode(value))
        except Exception as error:
            return f"cannot encode `{type(value).__qualname__}`: {error_text(error)}"
        try:
            return difference(value, decode(part), plain=plain)
        except Exception as error:
            with suppress(Exception):  # "would arrive as None" says more than "got `null`"
                found = difference(value, self._decode_plain(part), plain=True)
                return found or error_text(error)
            return error_text(error)


def why_unreadable(part: Any, decode: Decode) -> str:
    """Why an encoded value cannot be read; empty if it can be."""
    try:
        decode(part)
    except Exception as error:
        return error_text(error)
    return ""


def error_text(error: Exception) -> str:
    """The text of an error, after its type if the text alone says too little."""
    is_plain = isinstance(error, msgspec.MsgspecError | TypeError)
    return str(error) if is_plain else f"{type(error).__name__}: {error}"
