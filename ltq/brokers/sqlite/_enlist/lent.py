"""What a step needs of a connection of the user's, and what to raise if it cannot have it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

T = TypeVar("T")


def _nobody_tells(tell: Callable[[], None]) -> None:
    """There is no hook: who waits looks from time to time."""


@dataclass(frozen=True, slots=True)
class Lent:
    """A connection that is lent for one step, in the thread that it belongs to."""

    connection: sqlite3.Connection
    """What runs statements, or what does so in the same words."""
    driver: Any
    """The connection of the driver itself: its settings, and whether a transaction is open."""
    after_commit: Callable[[Callable[[], None]], None] = _nobody_tells
    """Calls a function once the present transaction is committed."""


class Lender(Protocol):
    """A connection of the user's."""

    @property
    def is_async(self) -> bool:
        """Whether `use` needs the event loop of the connection. If not, it never suspends."""
        ...

    async def use(self, work: Callable[[Lent], T]) -> T:
        """Call a function with the connection, in its thread, and return what it returns.

        Raises `ConfigurationError` if the connection cannot be used here or now.
        """
        ...


def unusable(connection: object, error: Exception) -> ConfigurationError:
    """What to raise for a connection that its library does not let be used."""
    return ConfigurationError(f"connection={short_repr(connection)} cannot be used here: {error}")


def wrong_database(connection: object, database: object) -> ConfigurationError:
    """What to raise for a connection to a database that is not SQLite."""
    return ConfigurationError(
        f"connection={short_repr(connection)} is to {database}, but the broker is a file of "
        "SQLite: a transaction holds for one database only"
    )
