"""Enqueueing as part of a transaction of the caller's: a role of a broker that is optional.

A store in which users keep data of their own can take tasks in their transactions: a task is there
if and only if the transaction commits.
"""

from collections.abc import Sequence
from typing import Protocol

from ltq.broker.roles import Publisher
from ltq.state import QueueStats, TaskState


class Enlisted(Publisher, Protocol):
    """Takes tasks over a connection of the caller's, and sees what its transaction sees.

    Nothing here begins a transaction that the caller would not have begun, or ends one of theirs. A
    call that raises has changed nothing. Over a connection without a transaction (autocommit) each
    call is one of its own. Calls raise `BrokerError` if the database refuses, also because others
    have locked it, and `ConfigurationError` for a connection that cannot be used here.
    """

    @property
    def is_async(self) -> bool:
        """Whether calls need the event loop of the connection.

        If not, no call waits for anything but the database: it may be made in any thread that may
        use the connection, and its coroutine never suspends.
        """
        ...

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        ...

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        ...


class Enlisting(Protocol):
    """Can enqueue in a transaction of the caller's."""

    def enlist(self, connection: object) -> Enlisted:
        """Take tasks over a connection of the caller's. Nothing is called yet.

        Raises `ConfigurationError` for what is no connection to this store, or if this store cannot
        do that at all.
        """
        ...
