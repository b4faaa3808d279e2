"""Opening connections: at once while the server answers, one attempt for all while it does not."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError  # noqa: A004  redis-py's name

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service, abandon_task, spawn
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.asking import lead_to
from ltq.brokers.redis._connect.connections import prepare
from ltq.brokers.redis._connect.credentials import CredentialsError
from ltq.brokers.redis._connect.tls import load_files
from ltq.brokers.redis._connect.whereabouts import Whereabouts

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.8

_CONNECT_PATIENCE = 3.0
"""Seconds that an attempt for all callers may take, with its greetings."""


class Dialer(Service):
    """Opens connections for all callers in an event loop.

    While the server cannot be reached, one attempt at a time is made for all callers, after a pause
    that grows: the many event loops of a worker must not flood the server. `keep` takes the
    connection of an attempt that succeeds, or returns False if it is not needed any more. Without
    `whereabouts` connections lead where they were made for; `on_address` is told of each address.

    As a service it runs during such an attempt.
    """

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        keep: Callable[[AbstractConnection], bool],
        whereabouts: Whereabouts | None = None,
        on_address: Callable[[Address], None] = lambda _: None,
    ) -> None:
        super().__init__("ltq-redis-dialer", logging.getLogger("ltq.broker"))
        self._make = make
        self._keep = keep
        self._whereabouts = whereabouts
        self._on_address = on_address
        self.address: Address | None = None
        """Where the last connection was led to, also if it was not opened."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._error: Exception | None = None
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    async def connect(self, connection: AbstractConnection) -> None:
        """Open a connection. Raises what redis-py raises, also if another attempt failed."""
        if self._error is not None:
            self.start()
            await self.wait()  # if this caller gives up, the attempt goes on for the others
        if self._error is not None:
            raise _copy(self._error)
        try:
            await self._connect(connection)
        except (RedisError, OSError) as error:
            self._error = _copy(error)  # without a traceback, which would keep this caller's frames
            raise

    def abandon(self) -> None:
        """See `Service.abandon`."""
        super().abandon()
        for connecting in self._connecting:
            abandon_task(connecting)

    async def _connect(self, connection: AbstractConnection) -> None:
        """Open a connection in an empty context, as it outlives the call that needs it first.

        The callbacks of a socket keep the context in which they were made, while it is open.
        """
        connecting = spawn(self._open(connection), name=f"{self.name}-connect")
        self._connecting.add(connecting)
        try:
            await connecting
        finally:
            self._connecting.discard(connecting)

    async def _open(self, connection: AbstractConnection) -> None:
        """Open a connection to where the server is now."""
        load_files(connection)
        if self._whereabouts is None:
            await connection.connect()
            return
        address = await self._whereabouts.address()
        lead_to(connection, address)
        self.address = address
        await prepare(connection)
        try:
            async with asyncio.timeout(self._whereabouts.within):
                await connection.connect()
                await self._whereabouts.check(connection)
        except (RedisError, OSError) as error:
            self._whereabouts.mark_stale(address, error)
            raise
        except asyncio.CancelledError:  # it took too long
            self._whereabouts.mark_stale(address, None)
            raise
        self._on_address(address)

    async def _run(self) -> None:
        """Make one attempt for all callers."""
        await asyncio.sleep(self._pauses.next())
        connection = self._make()
        is_kept = False
        try:
            async with asyncio.timeout(_CONNECT_PATIENCE):
                await self._open(connection)
            self._error = None
            self._pauses.reset()
            is_kept = self._keep(connection)
        except Exception as error:  # `connect` raises it to each caller
            self._error = error
        finally:
            if not is_kept:
                await connection.disconnect(nowait=True)


def _copy(error: Exception) -> Exception:
    """A copy of an error for another caller, so that each has its own traceback."""
    kind = type(error) if isinstance(error, RedisError) else ConnectionError
    copied = kind(str(error) or type(error).__name__)
    if isinstance(error, CredentialsError):  # its text does not tell the caller what it was
        copied.__cause__ = error.__cause__
    return copied
