"""The wire format of a worker: what users may replace."""

from typing import Any, Protocol

DEFAULT_MAX_PAYLOAD = 1 << 20
"""Most bytes of the arguments or the result of one task."""


class Serializer(Protocol):
    """What may be given as `serializer=`: it turns plain JSON-like values into bytes and back."""

    def dumps(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        ...

    def loads(self, data: bytes, /) -> Any:
        """The value that bytes stand for."""
        ...
