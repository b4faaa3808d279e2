"""Results put together as bytes: nothing is decoded on the way from task to task."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ltq._flow.values import FORMATS
from ltq.errors import DecodeError

_lists = {name: module.Decoder(list[msgspec.Raw]).decode for name, module in FORMATS.items()}
_nothing = {name: module.encode(None) for name, module in FORMATS.items()}


def call_body(
    first: bytes, args: Sequence[msgspec.Raw], kwargs: Mapping[str, msgspec.Raw], serializer: str
) -> bytes:
    """The body of a call whose first argument is a result."""
    values = [_raw(first, serializer), *args]
    return _encode((values, kwargs), serializer)


def list_of(results: Sequence[bytes], serializer: str) -> bytes:
    """The list, or tuple, of results."""
    return _encode([_raw(one, serializer) for one in results], serializer)


def items_of(result: bytes, serializer: str) -> list[bytes]:
    """The items of a list, each encoded. Raises `DecodeError`, which says what it is instead."""
    try:
        items = _lists[serializer](result)
    except RecursionError:
        raise DecodeError("is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DecodeError("is not a list") from None
    return [bytes(item) for item in items]


def _raw(result: bytes, serializer: str) -> msgspec.Raw:
    return msgspec.Raw(result or _nothing[serializer])


def _encode(value: Any, serializer: str) -> bytes:
    encoded: bytes = FORMATS[serializer].encode(value)
    return encoded
