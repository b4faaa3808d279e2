"""Values as they are stored, shown to people and as JSON."""

import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from ltq.codec import DEFAULT_SERIALIZER

_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "json": msgspec.json.decode,
    "msgpack": msgspec.msgpack.decode,
}
"""What every program can read."""


class Encoded(NamedTuple):
    """A value as it is stored, and the name of the serializer that wrote it."""

    data: bytes
    serializer: str = DEFAULT_SERIALIZER


def as_json(data: bytes, serializer: str = DEFAULT_SERIALIZER) -> bytes | None:
    """Return an encoded value as JSON; None if it was written by a serializer of a user's own."""
    if serializer == DEFAULT_SERIALIZER:
        return data
    if serializer != "msgpack":
        return None
    try:
        return msgspec.json.encode(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None


def json_value(data: bytes, serializer: str = DEFAULT_SERIALIZER) -> Any:
    """Return an encoded value for JSON.

    What cannot be read becomes an object with its `serializer` and its bytes as `base64`; what
    should be JSON and is not becomes a string with escapes.
    """
    text = as_json(data, serializer)
    if text is None:
        return {"serializer": serializer, "base64": b64encode(data).decode()}
    try:
        value = json.loads(text.decode())
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return result_text(text)
    return value


def result_text(
    data: bytes, limit: int | None = None, *, serializer: str = DEFAULT_SERIALIZER
) -> str:
    """Return an encoded value as JSON, cut after `limit` characters if a limit is given.

    What cannot be read becomes `b'...'`, with the name of its serializer.
    """
    known = as_json(data, serializer)
    if known is None:
        text = repr(data if limit is None else data[: limit + 1])
        shown = text if limit is None or len(data) <= limit else f"{text[:limit]}…"
        return f"{shown} ({len(data)} bytes of serializer {serializer})"
    text = known.decode("utf-8", "backslashreplace")
    return text if limit is None else cut(text, limit)


def call_text(body: bytes, serializer: str = DEFAULT_SERIALIZER) -> str:
    """Return the arguments of a call, like `"a/b", depth=2`; other bodies as `result_text` does."""
    if serializer in _DECODERS:
        # What was published without a name may be MessagePack.
        for decode in _DECODERS.values():
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                match decode(body):
                    case [list(args), dict(kwargs)]:
                        named = [f"{name}={_plain(value)}" for name, value in kwargs.items()]
                        return ", ".join([*map(_plain, args), *named]) or "none"
    return result_text(body, serializer=serializer)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def cut(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
