"""Django's `connection`. Django itself is not imported: the connection brings all that it needs."""

from collections.abc import Callable
from typing import Any, TypeVar

from ltq.brokers.sqlite._enlist.lent import Lender, Lent, unusable, wrong_database

T = TypeVar("T")


class Django:
    """A connection of Django's: `django.db.connection`, or one of `django.db.connections`."""

    is_async = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def use(self, work: Callable[[Lent], T]) -> T:
        """See `Lender.use`."""
        try:
            self._connection.ensure_connection()
            self._connection.validate_thread_sharing()
            self._connection.validate_no_broken_transaction()
        except Exception as error:  # its classes are known only where it is installed
            raise unusable(self._connection, error) from error
        driver = self._connection.connection
        if self._connection.in_atomic_block:
            return work(Lent(driver, driver, self._connection.on_commit))
        return work(Lent(driver, driver))  # where the user commits, Django has no hook


def lender(connection: Any) -> Lender | None:
    """What lends a connection of Django's; None for anything else."""
    if not any(one.__module__.startswith("django.") for one in type(connection).__mro__):
        return None
    if not hasattr(connection, "validate_no_broken_transaction"):
        return None
    if connection.vendor != "sqlite":
        raise wrong_database(connection, connection.vendor)
    return Django(connection)
