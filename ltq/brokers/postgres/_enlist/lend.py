"""From what users have for a connection to a connection of psycopg's.

Libraries are told by the modules of the classes, so that none is imported that is not used.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Connection

from ltq._display.values import short_repr
from ltq.brokers.postgres._enlist.drivers import Awaited, Driver, Plain
from ltq.brokers.postgres._server import bridge
from ltq.errors import ConfigurationError

T = TypeVar("T")

_turns = WeakKeyDictionary["AsyncConnection[Any]", asyncio.Lock]()
_locks = WeakKeyDictionary["Connection[Any]", threading.RLock]()
"""psycopg lets several tasks, or threads, use a connection, one statement after the other. A send
takes several, which must not mix."""

_making = threading.Lock()

_SYNCHRONOUS = {"Connection", "Session", "scoped_session"}
_ASYNCHRONOUS = {"AsyncConnection", "AsyncSession", "async_scoped_session"}


class Lender(Protocol):
    """A connection of the user's."""

    @property
    def is_async(self) -> bool:
        """Whether `use` needs the event loop of the connection. If not, it never suspends."""
        ...

    async def use(self, work: Callable[[Driver], T]) -> T:
        """Call a function with the connection, and return what it returns.

        Raises `ConfigurationError` if the connection cannot be used here or now.
        """
        ...


class _Synchronous:
    """What `get` gives is a connection of psycopg's."""

    is_async = False

    def __init__(self, given: Any, get: Callable[[Any], Any]) -> None:
        self._given = given
        self._get = get

    async def use(self, work: Callable[[Driver], T]) -> T:
        """See `Lender`."""
        try:
            connection = self._get(self._given)
        except Exception as error:  # its classes are known only where it is installed
            raise _unusable(self._given, error) from error
        if not isinstance(connection, Connection):
            raise _wrong_driver(self._given, connection)
        with _lock_of(connection):
            return work(Plain(connection))


class _Asynchronous:
    """What `get` gives, awaited, is an asynchronous connection of psycopg's."""

    is_async = True

    def __init__(self, given: Any, get: Callable[[Any], Any]) -> None:
        self._given = given
        self._get = get

    async def use(self, work: Callable[[Driver], T]) -> T:
        """See `Lender`."""
        try:
            connection = await self._get(self._given)
        except Exception as error:  # its classes are known only where it is installed
            raise _unusable(self._given, error) from error
        if not isinstance(connection, AsyncConnection):
            raise _wrong_driver(self._given, connection)
        driver = Awaited(connection)
        async with _turns.setdefault(connection, asyncio.Lock()):
            return await bridge.run(lambda: work(driver))


def _lock_of(connection: "Connection[Any]") -> AbstractContextManager[object]:
    with _making:
        return _locks.setdefault(connection, threading.RLock())


def lend(given: object) -> Lender:
    """What lends a connection of the user's.

    Raises `ConfigurationError` if it is of no such kind.
    """
    if isinstance(given, Connection):
        return _Synchronous(given, _itself)
    if isinstance(given, AsyncConnection):
        return _Asynchronous(given, _itself_later)
    kinds = _kinds(given, "sqlalchemy.")
    if kinds & _ASYNCHRONOUS:
        return _Asynchronous(given, _of_async_sqlalchemy)
    if kinds & _SYNCHRONOUS:
        return _Synchronous(given, _of_sqlalchemy)
    if _kinds(given, "django.") and hasattr(given, "validate_no_broken_transaction"):
        return _Synchronous(given, _of_django)
    raise ConfigurationError(
        f"connection={short_repr(given)} is not allowed: a Connection or AsyncConnection of "
        "psycopg 3, a Connection or Session of SQLAlchemy (AsyncConnection, AsyncSession), or "
        "Django's connection"
    )


def _kinds(given: object, library: str) -> set[str]:
    """The names of the classes of a library that it is one of."""
    return {one.__name__ for one in type(given).__mro__ if one.__module__.startswith(library)}


def _itself(given: Any) -> Any:
    return given


async def _itself_later(given: Any) -> Any:
    return given


def _of_sqlalchemy(given: Any) -> Any:
    is_connection = "Connection" in _kinds(given, "sqlalchemy.")
    connection = given if is_connection else given.connection()
    _begin(connection)
    return connection.connection.driver_connection


async def _of_async_sqlalchemy(given: Any) -> Any:
    kinds = _kinds(given, "sqlalchemy.")
    if "async_scoped_session" in kinds:
        given = given()
        kinds = _kinds(given, "sqlalchemy.")
    connection = given if "AsyncConnection" in kinds else await given.connection()
    await connection.run_sync(_begin)
    return (await connection.get_raw_connection()).driver_connection


def _begin(connection: Any) -> None:
    """Let the transaction begin, if SQLAlchemy begins it itself."""
    connection.exec_driver_sql("SELECT 1")


def _of_django(given: Any) -> Any:
    given.ensure_connection()
    given.validate_thread_sharing()
    given.validate_no_broken_transaction()
    connection = given.connection
    return getattr(connection, "connection", connection)


def _unusable(given: object, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"connection={short_repr(given)} cannot be used here: {error}")


def _wrong_driver(given: object, connection: object) -> ConfigurationError:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return ConfigurationError(
        f"connection={short_repr(given)} uses {kind}, but the broker is PostgreSQL: it has to be "
        "on that database, and use psycopg 3 (postgresql+psycopg:// with SQLAlchemy)"
    )
