"""One Pub/Sub connection: exact channels that come and go, and what is said on them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ltq._aio.backoff import ExponentialBackoff
from ltq.brokers.redis._link import Link, pack
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

_CHUNK = 1000
"""Channels of one SUBSCRIBE."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

CONNECT_WITHIN = 5.0
"""Seconds for a connection to stand, its greetings included."""

LOOK_EVERY = 3.0
"""Seconds between looks whether anything was heard: after one without, the connection is tried out;
after the next it counts as lost."""

_LINGER = 0.1
"""Seconds a channel may stay subscribed to that is wanted no more: the next one goes with it."""


_LOST = (RedisError, OSError, RuntimeError)
"""What writing to a lost connection raises; uvloop says RuntimeError: "the handler is closed"."""


class Channels:
    """Keeps one connection subscribed to what is wanted, through every loss of it.

    `on_connected` runs beside the reading, once for each connection; `on_lost` when it is gone.
    `on_subscribed(channel)` is called for every confirmation, so also after each reconnect:
    whatever was said before is lost, and the state has to be read again.
    """

    def __init__(
        self,
        link: Link,
        *,
        on_subscribed: Callable[[str], None],
        on_message: Callable[[str, str], None],
        on_connected: Callable[[], Coroutine[Any, Any, None]],
        on_lost: Callable[[], None],
    ) -> None:
        self._link = link
        self._on_subscribed = on_subscribed
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._greeter: asyncio.Task[None] | None = None
        self._wanted: set[str] = set()
        self._added: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._connection: AbstractConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._heard = False
        self._tidying: asyncio.TimerHandle | None = None
        self._closing = False

    def add(self, channel: str) -> None:
        """Subscribe, soon. A channel that is there already is confirmed at once."""
        if channel in self._wanted:
            self._on_subscribed(channel)
            return
        self._wanted.add(channel)
        if channel in self._dropped:
            del self._dropped[channel]
            self._on_subscribed(channel)
        else:
            self._added[channel] = None
        self._start()

    def drop(self, channel: str) -> None:
        """Unsubscribe, soon."""
        if channel not in self._wanted:
            return
        self._wanted.discard(channel)
        if channel in self._added:
            del self._added[channel]
        else:
            self._dropped[channel] = None
        if self._tidying is None and self._connection is not None:
            self._tidying = asyncio.get_running_loop().call_later(_LINGER, self._tidy)

    async def aclose(self) -> None:
        """Close the connection and forget all channels."""
        self._wanted.clear()
        self._closing = True  # Python 3.11's wait_for may swallow the cancellation
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        tasks = [t for t in (self._reader, self._writer, self._greeter) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reader = self._writer = None
        self._closing = False

    def _tidy(self) -> None:
        self._tidying = None
        if self._dropped and self._connection is not None:
            self._start()

    def _start(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_forever())
        elif self._connection is not None and self._writer is None:
            self._writer = asyncio.create_task(self._write(self._connection))

    async def _read_forever(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while not self._closing:
            connection = self._link.new_connection()
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    await self._link.connect(connection)
                self._added, self._dropped = dict.fromkeys(self._wanted), {}
                self._connection = connection
                self._greeter = asyncio.create_task(self._on_connected())
                self._start()
                await self._read(connection)
            except (*_LOST, BrokerError) as error:  # a TimeoutError is an OSError
                logger.debug("the Pub/Sub connection is lost, connecting again: %s", error)
            finally:
                if self._connection is not None:
                    pauses.reset()
                    if self._greeter is not None:
                        self._greeter.cancel()
                    self._connection = None
                    self._on_lost()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(pauses.next())

    async def _read(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(None) as patience:
            pinger = asyncio.create_task(self._ping(connection, patience))
            try:
                while not self._closing:
                    reply = await connection.read_response()
                    self._heard = True
                    if not isinstance(reply, list):  # to a PING while nothing is subscribed to
                        continue
                    kind, channel = reply[0], reply[1].decode("utf-8", "replace")
                    if kind == b"message":
                        self._on_message(channel, reply[2].decode("utf-8", "replace"))
                    elif kind == b"subscribe":
                        self._on_subscribed(channel)
            finally:
                pinger.cancel()

    async def _ping(self, connection: AbstractConnection, patience: asyncio.Timeout) -> None:
        """Try out a connection that is silent; end the reading if it stays so."""
        tried = False
        while True:
            self._heard = False
            await asyncio.sleep(LOOK_EVERY)
            if self._heard:
                tried = False
            elif tried:
                patience.reschedule(asyncio.get_running_loop().time())
                return
            elif connection.is_connected:  # redis-py would open it again, where nobody reads
                tried = True
                with suppress(*_LOST):  # then the reader has noticed it, too
                    await connection.send_packed_command(pack(("PING",)), check_health=False)

    async def _write(self, connection: AbstractConnection) -> None:
        """Send what was added and dropped; all of one turn of the loop go together."""
        try:
            # redis-py would open a lost connection again, where nobody reads.
            while (self._added or self._dropped) and connection is self._connection:
                added, self._added = self._added, {}
                dropped, self._dropped = self._dropped, {}
                commands = [*_commands("UNSUBSCRIBE", dropped), *_commands("SUBSCRIBE", added)]
                await connection.send_packed_command(b"".join(commands), check_health=False)
        except _LOST as error:
            logger.debug("the Pub/Sub connection is lost while writing: %s", error)
            await connection.disconnect(nowait=True)  # the reader sees it and starts again
        finally:
            self._writer = None


def _commands(name: str, channels: Iterable[str]) -> Iterator[bytes]:
    names = list(channels)
    for start in range(0, len(names), _CHUNK):
        yield pack((name, *names[start : start + _CHUNK]))
