"""The wire format of a worker: what users may replace."""

from typing import Any, Protocol

DEFAULT_SERIALIZER = "json"
"""The name of what encodes arguments and results that do not name it."""

READ_BY_ALL = frozenset({DEFAULT_SERIALIZER, "msgpack"})
"""The names of the serializers that every worker knows."""

DEFAULT_MAX_PAYLOAD = 1 << 20
"""Most bytes of the arguments or the result of one task."""


class Serializer(Protocol):
    """What may be given as `serializer=`: it turns plain JSON-like values into bytes and back.

    Arguments and results name their serializer. Its name is its attribute `name`, a text, if it has
    one; else that of its class (`__qualname__`), or of the module or class that is given itself.
    """

    def dumps(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        ...

    def loads(self, data: bytes, /) -> Any:
        """The value that bytes stand for."""
        ...
