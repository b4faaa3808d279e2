"""From what users have for a connection to what lends it to steps."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from ltq._display.values import short_repr
from ltq.brokers.sqlite._enlist import from_django, from_sqlalchemy
from ltq.brokers.sqlite._enlist.lent import Lender, Lent, unusable
from ltq.errors import ConfigurationError

T = TypeVar("T")


class Plain:
    """A connection of `sqlite3`."""

    is_async = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def use(self, work: Callable[[Lent], T]) -> T:
        """See `Lender.use`."""
        try:
            self._connection.cursor().close()
        except sqlite3.ProgrammingError as error:  # closed, or in another thread
            raise unusable(self._connection, error) from error
        return work(Lent(self._connection, self._connection))


def lend(connection: object) -> Lender:
    """What lends a connection of the user's. Raises `ConfigurationError` if it is of no such kind.

    Libraries are told by the modules of the classes, so that none is imported that is not used.
    """
    if isinstance(connection, sqlite3.Connection):
        return Plain(connection)
    lender = from_sqlalchemy.lender(connection) or from_django.lender(connection)
    if lender is None:
        raise ConfigurationError(
            f"connection={short_repr(connection)} is not allowed: a sqlite3.Connection, a "
            "Connection or Session of SQLAlchemy (AsyncConnection, AsyncSession), or Django's "
            "connection"
        )
    return lender
