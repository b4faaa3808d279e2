"""Where the server of a link is, which may be another one after a failover."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError

from ltq.brokers.redis._connect.addresses import Address

Ask = Callable[[Address, tuple[str, ...]], Awaitable[object]]
"""Sends a command to a server on a connection of its own, and returns the reply. Raises what
redis-py raises."""


class NowhereError(AuthenticationError):
    """There is no such server, or none may be looked for. That is not an outage."""


def is_unknown_command(error: Exception) -> bool:
    """Whether a server does not know a command, as it is of another kind."""
    return str(error).lower().startswith("unknown command")


class Whereabouts(Protocol):
    """Says where to open connections."""

    within: float | None
    """Seconds that a server has to take a connection; None where no other one can stand in."""

    async def address(self) -> Address:
        """Where the server is now, as far as known. Raises what redis-py raises."""
        ...

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        """What is at this address cannot be reached, or is not the server: look again."""
        ...

    async def check(self, connection: AbstractConnection) -> None:
        """Look whether a new connection leads to the server. Raises what redis-py raises."""
        ...

    async def aclose(self) -> None:
        """Stop looking."""
        ...

    def abandon(self) -> None:
        """Stop looking, in the event loop or after that was closed."""
        ...
