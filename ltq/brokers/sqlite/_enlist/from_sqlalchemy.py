"""Connections and sessions of SQLAlchemy, synchronous and asynchronous.

SQLAlchemy is imported only when one is there, as few applications have it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from ltq.brokers.sqlite._enlist.lent import Lender, Lent, unusable, wrong_database

T = TypeVar("T")

_SYNCHRONOUS = {"Connection", "Session", "scoped_session"}
_ASYNCHRONOUS = {"AsyncConnection", "AsyncSession", "async_scoped_session"}

_TO_TELL = "ltq: to tell after the commit"
"""The key in `Session.info`."""


class _Statements:
    """Runs statements on a connection of SQLAlchemy, so that its transaction begins with them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """As `sqlite3.Connection.execute`, and with its errors."""
        try:
            return self._connection.exec_driver_sql(statement, tuple(values))
        except Exception as error:
            cause = getattr(error, "orig", None)
            if isinstance(cause, Exception):
                raise cause from error
            raise


class _Synchronous:
    """A `Connection` or a `Session`."""

    is_async = False

    def __init__(self, given: Any) -> None:
        self._given = given

    async def use(self, work: Callable[[Lent], T]) -> T:
        """See `Lender.use`."""
        return _use(self._given, work)


class _Asynchronous:
    """An `AsyncConnection` or an `AsyncSession`."""

    is_async = True

    def __init__(self, given: Any) -> None:
        self._given = given

    async def use(self, work: Callable[[Lent], T]) -> T:
        """See `Lender.use`."""
        from sqlalchemy.exc import SQLAlchemyError

        given = self._given
        if "async_scoped_session" in _kinds(given):
            given = given()
        try:
            answer: T = await given.run_sync(_use, work)
        except SQLAlchemyError as error:
            raise unusable(given, error) from error
        return answer


def lender(given: object) -> Lender | None:
    """What lends a connection or session of SQLAlchemy; None for anything else."""
    kinds = _kinds(given)
    if kinds & _ASYNCHRONOUS:
        return _Asynchronous(given)
    return _Synchronous(given) if kinds & _SYNCHRONOUS else None


def _kinds(given: object) -> set[str]:
    """The names of the classes of SQLAlchemy that it is one of."""
    return {one.__name__ for one in type(given).__mro__ if one.__module__.startswith("sqlalchemy.")}


def _use(given: Any, work: Callable[[Lent], T]) -> T:
    from sqlalchemy.exc import SQLAlchemyError

    is_session = "Connection" not in _kinds(given)
    try:
        connection = given.connection() if is_session else given
        driver = connection.connection.driver_connection
    except SQLAlchemyError as error:
        raise unusable(given, error) from error
    dialect = connection.dialect.name
    if dialect != "sqlite":
        raise wrong_database(given, dialect)
    statements = _Statements(connection)
    statements.execute("SELECT 1")  # lets the transaction begin, if SQLAlchemy begins it itself
    like_sqlite3 = cast(sqlite3.Connection, statements)
    if not is_session:
        return work(Lent(like_sqlite3, driver))
    _hear_of_ends()
    return work(Lent(like_sqlite3, driver, given.info.setdefault(_TO_TELL, []).append))


@cache
def _hear_of_ends() -> None:
    """Let all sessions of this process call `_tell`."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    event.listen(Session, "after_transaction_end", _tell)


def _tell(session: Any, transaction: Any) -> None:
    """Tell what the transactions of a session have waited for. After a rollback it is not true.

    Who is told looks into the file, and finds nothing then.
    """
    if transaction.parent is None:
        for tell in session.info.pop(_TO_TELL, ()):
            tell()
