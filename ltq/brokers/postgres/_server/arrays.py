"""Values of calls as PostgreSQL reads them: arrays in its binary form, which is quick to make."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_head = struct.Struct(">iiIii").pack
_length = struct.Struct(">i").pack
_NULL = _length(-1)

_PACK = {
    "smallint": (21, struct.Struct(">ih").pack, 2),
    "integer": (23, struct.Struct(">ii").pack, 4),
    "bigint": (20, struct.Struct(">iq").pack, 8),
    "float8": (701, struct.Struct(">id").pack, 8),
    "boolean": (16, struct.Struct(">i?").pack, 1),
}
"""For each type of a fixed size its OID, what packs a value, and the size."""

_ARRAYS = {"text": 1009, "bytea": 1001, "smallint": 1005, "integer": 1007, "bigint": 1016}
_ARRAYS |= {"float8": 1022, "boolean": 1000}
_TEXT, _BYTEA = 25, 17


class Packed:
    """An array in its binary form."""

    __slots__ = ("data", "oid")

    def __init__(self, data: bytes, oid: int) -> None:
        self.data = data
        self.oid = oid


class PackedDumper(Dumper):
    """Gives psycopg what is packed already."""

    format = Format.BINARY

    def get_key(self, obj: Packed, format: Any) -> Any:  # noqa: A002  psycopg's name
        """One dumper for each type of arrays."""
        return (self.cls, obj.oid)

    def upgrade(self, obj: Packed, format: Any) -> "PackedDumper":  # noqa: A002  psycopg's name
        """See `Dumper.upgrade`."""
        dumper = type(self)(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Packed) -> Buffer:
        """See `Dumper.dump`."""
        return obj.data


def register(connection: "AsyncConnection[Any] | Connection[Any]") -> None:
    """Let a connection take packed arrays."""
    connection.adapters.register_dumper(Packed, PackedDumper)


def pack(type_: str, values: Sequence[Any]) -> Packed:
    """An array of this type; None is null."""
    if type_ == "text":
        parts, oid = _texts(values), _TEXT
    elif type_ == "bytea":
        parts, oid = _blobs(values), _BYTEA
    else:
        oid, pack_one, size = _PACK[type_]
        parts = _fixed(values, pack_one, size)
    dimensions = 1 if values else 0
    head = _head(dimensions, 1, oid, len(values), 1) if values else struct.pack(">iiI", 0, 0, oid)
    return Packed(head + b"".join(parts), _ARRAYS[type_])


def _texts(values: Sequence[str | None]) -> list[bytes]:
    if _are_same(values):
        return _blobs([None if values[0] is None else values[0].encode()] * len(values))
    return _blobs([None if value is None else value.encode() for value in values])


def _blobs(values: Sequence[bytes | None]) -> list[bytes]:
    if _are_same(values):
        return [_blob(values[0])] * len(values)
    return [_blob(value) for value in values]


def _blob(value: bytes | None) -> bytes:
    return _NULL if value is None else _length(len(value)) + value


def _fixed(values: Sequence[Any], pack_one: Callable[..., bytes], size: int) -> list[bytes]:
    if _are_same(values):
        return [_NULL if values[0] is None else pack_one(size, values[0])] * len(values)
    return [_NULL if value is None else pack_one(size, value) for value in values]


def _are_same(values: Sequence[Any]) -> bool:
    """Whether all are equal, as in most columns of a call: then one is packed for all."""
    return bool(values) and values.count(values[0]) == len(values)
