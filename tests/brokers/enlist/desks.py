"""Desks: an application whose own table is in the broker's file, over each kind of connection."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

ORDER = "INSERT INTO tasks VALUES ('an order')"
"""The application's table is called as one of LTQ's might be."""


def make_application(path: Path) -> None:
    """Make a database with a table of the application's."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE tasks (name TEXT)")


def orders_in(path: Path) -> int:
    """How many orders another connection sees."""
    with closing(sqlite3.connect(path)) as connection:
        (many,) = connection.execute("SELECT count(*) FROM tasks").fetchone()
        return int(many)


class Desk(Protocol):
    """A connection of the application, and what it does with it."""

    @property
    def connection(self) -> object:
        """What is given as `connection`."""
        ...

    async def order(self) -> None:
        """Write to the application's table."""
        ...

    async def commit(self) -> None:
        """End the transaction, and keep its changes."""
        ...

    async def rollback(self) -> None:
        """End the transaction, and undo its changes."""
        ...

    def undone_savepoint(self) -> AbstractAsyncContextManager[None]:
        """A savepoint that is rolled back after the block."""
        ...


class PlainDesk:
    """One of `sqlite3`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def order(self) -> None:
        self.connection.execute(ORDER)

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    @asynccontextmanager
    async def undone_savepoint(self) -> AsyncIterator[None]:
        self.connection.execute("SAVEPOINT mine")
        yield
        self.connection.execute("ROLLBACK TO mine")
        self.connection.execute("RELEASE mine")


class SyncDesk:
    """A connection or session of SQLAlchemy."""

    def __init__(self, connection: Connection | Session | scoped_session[Any]) -> None:
        self.connection = connection

    async def order(self) -> None:
        self.connection.execute(text(ORDER))

    async def commit(self) -> None:
        self.connection.commit()

    async def rollback(self) -> None:
        self.connection.rollback()

    @asynccontextmanager
    async def undone_savepoint(self) -> AsyncIterator[None]:
        savepoint = self.connection.begin_nested()
        yield
        savepoint.rollback()


class AsyncDesk:
    """An asynchronous connection or session of SQLAlchemy."""

    def __init__(
        self, connection: AsyncConnection | AsyncSession | async_scoped_session[Any]
    ) -> None:
        self.connection = connection

    async def order(self) -> None:
        await self.connection.execute(text(ORDER))

    async def commit(self) -> None:
        await self.connection.commit()

    async def rollback(self) -> None:
        await self.connection.rollback()

    @asynccontextmanager
    async def undone_savepoint(self) -> AsyncIterator[None]:
        savepoint = await self.connection.begin_nested()
        yield
        await savepoint.rollback()


@asynccontextmanager
async def plain(path: Path) -> AsyncIterator[Desk]:
    """A connection as `sqlite3` gives it."""
    with closing(sqlite3.connect(path)) as connection:
        yield PlainDesk(connection)


@asynccontextmanager
async def odd_rows(path: Path) -> AsyncIterator[Desk]:
    """One whose rows are dicts, and whose texts are bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }
        connection.text_factory = bytes
        yield PlainDesk(connection)


@asynccontextmanager
async def begun(path: Path) -> AsyncIterator[Desk]:
    """One that begins its transactions itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield PlainDesk(connection)


@asynccontextmanager
async def engine_connection(path: Path) -> AsyncIterator[Desk]:
    """A `Connection` of SQLAlchemy."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        yield SyncDesk(connection)
    engine.dispose()


@asynccontextmanager
async def session(path: Path) -> AsyncIterator[Desk]:
    """A `Session` of SQLAlchemy."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with Session(engine) as opened:
        yield SyncDesk(opened)
    engine.dispose()


@asynccontextmanager
async def session_of_a_thread(path: Path) -> AsyncIterator[Desk]:
    """A `scoped_session` of SQLAlchemy."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    opened = scoped_session(sessionmaker(engine))
    yield SyncDesk(opened)
    opened.remove()
    engine.dispose()


@asynccontextmanager
async def async_connection(path: Path) -> AsyncIterator[Desk]:
    """An `AsyncConnection` of SQLAlchemy."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
    async with engine.connect() as connection:
        yield AsyncDesk(connection)
    await engine.dispose()


@asynccontextmanager
async def async_session(path: Path) -> AsyncIterator[Desk]:
    """An `AsyncSession` of SQLAlchemy."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
    async with AsyncSession(engine) as opened:
        yield AsyncDesk(opened)
    await engine.dispose()


@asynccontextmanager
async def async_session_of_a_scope(path: Path) -> AsyncIterator[Desk]:
    """An `async_scoped_session` of SQLAlchemy."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
    opened = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
    yield AsyncDesk(opened)
    await opened.remove()
    await engine.dispose()


OpenDesk = Callable[[Path], AbstractAsyncContextManager[Desk]]

SYNCHRONOUS: list[OpenDesk] = [
    *(plain, odd_rows, begun, engine_connection, session, session_of_a_thread),
]
ASYNCHRONOUS: list[OpenDesk] = [async_connection, async_session, async_session_of_a_scope]
