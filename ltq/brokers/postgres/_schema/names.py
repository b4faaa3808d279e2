"""What a schema's name stands for in SQL: its objects, its channel, its locks."""

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

_LONGEST_CHANNEL = 60
"""Bytes; PostgreSQL allows 63."""


@dataclass(frozen=True)
class Schema:
    """The schema with LTQ's tables and functions."""

    name: str

    @cached_property
    def quoted(self) -> str:
        """Its name as an identifier."""
        return '"' + self.name.replace('"', '""') + '"'

    @cached_property
    def channel(self) -> str:
        """The channel of its notifications."""
        channel = f"ltq:{self.name}"
        return channel if len(channel.encode()) <= _LONGEST_CHANNEL else f"ltq:{self.lock}"

    @cached_property
    def lock(self) -> int:
        """The first of its three numbers of advisory locks, which fit in 31 bits."""
        return zlib.crc32(self.name.encode()) >> 1 & ~3

    def sql(self, statement: str) -> str:
        """A statement of LTQ's with this schema: in its text, tables are named `ltq.tasks`."""
        return _with_schema(statement, self.quoted)


@lru_cache(maxsize=1000)
def _with_schema(statement: str, quoted: str) -> str:
    return statement.replace("ltq.", f"{quoted}.")
