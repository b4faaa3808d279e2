"""Opening connections: at once as long as the server answers, in turns while it is away."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError  # noqa: A004  redis-py's name

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.8

_CONNECT_PATIENCE = 3.0
"""Seconds that an attempt for all may take, its greetings included."""


class Dialer(Service):
    """Opens connections for all who want one in an event loop.

    While the server cannot be reached, one attempt is made for all of them, then the next after a
    pause that grows: a worker has many loops, and they must not storm its server. `keep` takes the
    connection of an attempt that succeeds, or returns False if nobody wants it any more.

    As a service it runs during such an attempt.
    """

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        keep: Callable[[AbstractConnection], bool],
    ) -> None:
        super().__init__("ltq-redis-dialer", logging.getLogger("ltq.broker"))
        self._make = make
        self._keep = keep
        self._error: Exception | None = None
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    async def connect(self, connection: AbstractConnection) -> None:
        """Open a connection. Raises what redis-py raises, also for an attempt made for all."""
        if self._error is not None:
            self.start()
            await self.wait()  # a caller that gives up leaves the attempt to the others
        if self._error is not None:
            raise _copy(self._error)
        try:
            await connection.connect()
        except (RedisError, OSError) as error:
            self._error = error
            raise

    async def _run(self) -> None:
        """One attempt for all."""
        await asyncio.sleep(self._pauses.next())
        connection = self._make()
        is_kept = False
        try:
            async with asyncio.timeout(_CONNECT_PATIENCE):
                await connection.connect()
            self._error = None
            self._pauses.reset()
            is_kept = self._keep(connection)
        except Exception as error:  # whoever asked is told: what it means is theirs to say
            self._error = error
        finally:
            if not is_kept:
                await connection.disconnect(nowait=True)


def _copy(error: Exception) -> Exception:
    """The same error for one more caller: each has a traceback of its own."""
    kind = type(error) if isinstance(error, RedisError) else ConnectionError
    return kind(str(error) or type(error).__name__)
