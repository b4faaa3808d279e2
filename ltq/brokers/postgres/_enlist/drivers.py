"""Statements on a connection of the user's, as part of its transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import tuple_row

from ltq.brokers.postgres._server import arrays
from ltq.brokers.postgres._server.bridge import wait

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class _Text(Loader):
    """Text as text, also where the encoding of the user's connection gives bytes. All of it that is
    read here is ASCII."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        """See `Loader.load`."""
        return bytes(data).decode()


class _PlainText(_Text):
    format = Format.TEXT


def _adapt(cursor: "Cursor[Any] | AsyncCursor[Any]") -> None:
    """Let values be read and written as LTQ does, whatever the user has registered."""
    cursor.adapters.register_dumper(arrays.Packed, arrays.PackedDumper)
    cursor.adapters.register_loader("text", _Text)
    cursor.adapters.register_loader("text", _PlainText)


class Driver(Protocol):
    """A connection of psycopg's, synchronous or not."""

    @property
    def connection(self) -> "Connection[Any] | AsyncConnection[Any]":
        """It itself."""
        ...

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement; none if it gives none."""
        ...


class Plain:
    """A `psycopg.Connection`."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self.connection = connection

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """See `Driver`."""
        cursor = Cursor(self.connection, row_factory=tuple_row)  # whatever the user's are
        _adapt(cursor)
        cursor.execute(statement, values or None, binary=bool(values))
        return cursor.fetchall() if cursor.description else []


class Awaited:
    """A `psycopg.AsyncConnection`, for what `bridge.run` calls."""

    def __init__(self, connection: "AsyncConnection[Any]") -> None:
        self.connection = connection

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """See `Driver`."""
        return wait(self._rows(statement, values))

    async def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        cursor = AsyncCursor(self.connection, row_factory=tuple_row)
        _adapt(cursor)
        await cursor.execute(statement, values or None, binary=bool(values))
        return await cursor.fetchall() if cursor.description else []


class Joined:
    """A step of the rules that is a part of the user's transaction: `Transaction`."""

    def __init__(self, driver: Driver) -> None:
        self.rows = driver.rows

    def begin(self, *, writes: bool) -> float:
        """See `Transaction`: it has begun, or begins by itself."""
        if writes:  # it has a number before the clock is read: see `sql/_raise_moments.sql`
            self.rows("SELECT pg_current_xact_id()::text")
        ((now,),) = self.rows(_NOW)
        return float(now)

    def commit(self) -> None:
        """That is for the user."""

    def rollback(self) -> None:
        """The savepoint does that."""


@contextmanager
def atomic(driver: Driver) -> Iterator[None]:
    """Let the block be a part of the user's transaction: if it raises, that is as before.

    If none is open, one begins that the user ends. With autocommit the block has one of its own.
    """
    connection = driver.connection
    status = connection.info.transaction_status
    is_own = connection.autocommit and status == TransactionStatus.IDLE
    driver.rows("BEGIN" if is_own else "SAVEPOINT ltq_step")
    try:
        yield
    except BaseException:
        if not connection.closed:
            driver.rows("ROLLBACK" if is_own else "ROLLBACK TO SAVEPOINT ltq_step")
            if not is_own:
                driver.rows("RELEASE SAVEPOINT ltq_step")
        raise
    driver.rows("COMMIT" if is_own else "RELEASE SAVEPOINT ltq_step")
