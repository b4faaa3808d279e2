"""What users may bring to the wire format of a worker."""

from typing import Any, Protocol

DEFAULT_MAX_PAYLOAD = 1 << 20
"""Bytes that the arguments or the result of one task may take."""


class Serializer(Protocol):
    """What may be given as `serializer=`: plain JSON-like values to bytes and back."""

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...
