"""Opening connections: at once as long as the server answers, in turns while it is away."""

import asyncio
from collections.abc import Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError  # noqa: A004  redis-py's name

from ltq._aio.backoff import ExponentialBackoff

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.8

_WITHIN = 3.0
"""Seconds an attempt for all may take, its greetings included."""


class Dialer:
    """Opens connections for all who want one in an event loop.

    While the server cannot be reached, one attempt is made for all of them, then the next after a
    pause that grows: a worker has many loops, and its server shall not be stormed by them. `keep`
    takes the connection of an attempt that succeeds, or says that nobody wants it any more.
    """

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        keep: Callable[[AbstractConnection], bool],
    ) -> None:
        self._make = make
        self._keep = keep
        self._error: Exception | None = None
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._attempt: asyncio.Task[None] | None = None

    async def connect(self, connection: AbstractConnection) -> None:
        """Open a connection. Raises what redis-py raises, also for an attempt made for all."""
        if self._error is not None:
            if self._attempt is None:
                self._attempt = asyncio.create_task(self._try())
            await asyncio.wait([self._attempt])  # a caller that gives up leaves it to the others
        if self._error is not None:
            raise _again(self._error)
        try:
            await connection.connect()
        except (RedisError, OSError) as error:
            self._error = error
            raise

    async def aclose(self) -> None:
        """Give up the attempt under way."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt])

    async def _try(self) -> None:
        try:
            await asyncio.sleep(self._pauses.next())
            connection = self._make()
            try:
                async with asyncio.timeout(_WITHIN):
                    await connection.connect()
            except Exception as error:  # whoever asked is told, and what it means is theirs to say
                self._error = error
                await connection.disconnect(nowait=True)
            except asyncio.CancelledError:
                await connection.disconnect(nowait=True)
                raise
            else:
                self._error = None
                self._pauses.reset()
                if not self._keep(connection):
                    await connection.disconnect(nowait=True)
        finally:
            self._attempt = None


def _again(error: Exception) -> Exception:
    """The same error for one more caller: each has a traceback of its own."""
    kind = type(error) if isinstance(error, RedisError) else ConnectionError
    return kind(str(error) or type(error).__name__)
