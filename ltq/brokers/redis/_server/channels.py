"""One Pub/Sub connection: channels that are added and dropped, and the messages on them."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.redis._connect.connections import usable_for
from ltq.brokers.redis._server.call import pack
from ltq.brokers.redis._server.keys import is_keyspace
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import is_passing
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

_CHANNELS_AT_ONCE = 1000
"""Most channels in one SUBSCRIBE."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

CONNECT_WITHIN = 5.0
"""Seconds until a new connection has to be usable, AUTH included."""

LOOK_EVERY = 3.0
"""Seconds without a byte after which a PING tests the connection. If it stays silent for as long
again, it counts as lost."""

UNUSED = 10.0
"""Seconds without a channel after which a connection that may be closed is closed."""

_ONE_TURN = 0.02
"""Seconds in which a loop that was blocked takes what has arrived meanwhile."""

_LINGER = 0.1
"""Seconds that a dropped channel may stay subscribed, so that others can be dropped with it."""

_LOST = (RedisError, OSError, RuntimeError)
"""What a lost connection raises. A TimeoutError is an OSError, and uvloop raises RuntimeError:
"the handler is closed"."""


class Channels(Service):
    """Keeps a connection subscribed to all channels that are wanted, however often it is lost.

    `on_subscribed(channel)` is called for each confirmation, so also after each reconnect: messages
    published before that are lost, and the state has to be read again. `on_message` is called with
    channel and text. `on_refused` is called with the channels that the user has no right to; they
    are asked for again on the next connection. `on_connected` runs beside the reading, once for
    each connection; `on_lost` is called when a connection is lost. Unless it `keeps` a connection
    without channels, that is closed after `UNUSED` seconds, and opened again when one is wanted.
    """

    def __init__(
        self,
        link: Link,
        *,
        on_subscribed: Callable[[str], None],
        on_message: Callable[[str, bytes], None],
        on_refused: Callable[[list[str], Exception], None],
        on_connected: Callable[[], Coroutine[Any, Any, None]],
        on_lost: Callable[[], None],
        keeps: bool = True,
    ) -> None:
        super().__init__("ltq-channels", logger)
        self._link = link
        self._keeps = keeps
        self._unused_since = math.inf
        self._on_subscribed = on_subscribed
        self._on_message = on_message
        self._on_refused = on_refused
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._wanted: set[str] = set()
        self._added: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._asked: deque[list[str]] = deque()
        """The channels of each SUBSCRIBE on this connection that is not answered yet."""
        self._connection: AbstractConnection | None = None
        self._writing: asyncio.Task[None] | None = None
        self._is_silent = False
        self._tidying: asyncio.TimerHandle | None = None

    def add(self, channel: str) -> bool:
        """Subscribe, soon. A channel that is subscribed already is confirmed at once.

        Returns whether the server will confirm it.
        """
        if channel in self._wanted:
            self._on_subscribed(channel)
            return False
        self._wanted.add(channel)
        self._unused_since = math.inf
        is_subscribed = channel in self._dropped
        if is_subscribed:
            del self._dropped[channel]
            self._on_subscribed(channel)
        else:
            self._added[channel] = None
        self.start()
        self._send_changes()
        return not is_subscribed

    def drop(self, channel: str) -> None:
        """Unsubscribe, soon."""
        if channel not in self._wanted:
            return
        self._wanted.discard(channel)
        if channel in self._added:
            del self._added[channel]
        else:
            self._dropped[channel] = None
        if not self._wanted:
            self._unused_since = asyncio.get_running_loop().time()
        if self._tidying is None and self._connection is not None:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(_LINGER, self._tidy, context=Context())

    async def break_off(self) -> None:
        """Use another connection: this one is silent."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)  # the reader notices and opens another

    def reconnect(self) -> None:
        """Use another connection, soon: this one may lead to a server that is not the one."""
        if self._connection is not None:
            self._spawn(self.break_off(), "break-off")

    async def aclose(self) -> None:
        """Close the connection and forget all channels."""
        self._wanted.clear()
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        await super().aclose()

    def _tidy(self) -> None:
        self._tidying = None
        self._send_changes()

    # The connection

    async def _run(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while not self.is_stopping:  # Python 3.11's wait_for may swallow the cancellation
            if await self._use_a_connection():
                pauses.reset()
            if self._is_unused():
                return
            await asyncio.sleep(pauses.next())

    def _is_unused(self) -> bool:
        """Whether it may close its connection, as nothing was wanted for long."""
        if self._keeps or self._wanted:
            return False
        return asyncio.get_running_loop().time() - self._unused_since >= UNUSED

    async def _use_a_connection(self) -> bool:
        """Open a connection and read until it is lost. Returns whether it could be opened."""
        connection = self._link.new_connection()
        greeting: asyncio.Task[None] | None = None
        retiring: asyncio.TimerHandle | None = None
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self._link.connect(connection)
            self._added, self._dropped = dict.fromkeys(self._wanted), {}
            self._asked.clear()
            self._connection = connection
            retiring = self._retire_in_time(connection)
            greeting = self._spawn(self._on_connected(), "connected")
            self._send_changes()
            await self._read(connection)
        except (*_LOST, BrokerError) as error:
            logger.debug("lost the Pub/Sub connection, reconnecting: %s", error)
        finally:
            if retiring is not None:
                retiring.cancel()
            if greeting is not None:
                greeting.cancel()
                self._connection = None
                self._on_lost()
            await connection.disconnect(nowait=True)
        return greeting is not None

    def _retire_in_time(self, connection: AbstractConnection) -> asyncio.TimerHandle | None:
        """Replace a connection before its credentials are not valid any more."""
        seconds = usable_for(connection)
        if seconds is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, self.reconnect, context=Context())

    # Reading

    async def _read(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(None) as patience:
            testing = self._spawn(self._test(connection, patience), "ping")
            try:
                while not self.is_stopping:
                    try:
                        self._receive(await connection.read_response())
                    except ResponseError as error:
                        self._refused(error)
            finally:
                testing.cancel()

    def _receive(self, reply: Any) -> None:
        self._is_silent = False
        if not isinstance(reply, list):  # the answer to a PING while nothing is subscribed to
            return
        kind, channel = reply[0], reply[1].decode("utf-8", "replace")
        if kind == b"message":
            self._on_message(channel, reply[2])
        elif kind == b"subscribe":
            if self._asked and channel == self._asked[0][-1]:
                self._asked.popleft()
            self._on_subscribed(channel)

    def _refused(self, error: ResponseError) -> None:
        """The answer to the first SUBSCRIBE that has none yet. Raises one that will pass."""
        self._is_silent = False
        if not self._asked or is_passing(error):
            raise error
        self._on_refused(self._asked.popleft(), error)

    async def _test(self, connection: AbstractConnection, patience: asyncio.Timeout) -> None:
        """Test a connection that is silent. End the reading if it stays so, or is not needed."""
        while not self._is_unused():
            # redis-py would reopen a lost connection, which is not the one being read.
            if await self._stays_silent() and connection.is_connected:
                with suppress(*_LOST):  # the reader notices it, too
                    await connection.send_packed_command(pack(("PING",)), check_health=False)
                if await self._stays_silent():
                    break
        patience.reschedule(asyncio.get_running_loop().time())

    async def _stays_silent(self) -> bool:
        """Wait `LOOK_EVERY` seconds; return whether nothing was received."""
        self._is_silent = True
        await asyncio.sleep(LOOK_EVERY)
        if self._is_silent:
            await asyncio.sleep(_ONE_TURN)
        return self._is_silent

    # Writing

    def _send_changes(self) -> None:
        """Send the channels that were added and dropped; without a connection, the next one does.

        All changes within one turn of the event loop are sent together.
        """
        is_idle = self._writing is None or self._writing.done()
        if is_idle and (self._added or self._dropped) and self._connection is not None:
            self._writing = self._spawn(self._write(), "write")

    async def _write(self) -> None:
        # redis-py would reopen a lost connection, which is not the one being read.
        while (connection := self._connection) is not None and connection.is_connected:
            if not (self._added or self._dropped):
                return
            added, self._added = self._added, {}
            dropped, self._dropped = self._dropped, {}
            asked = [*_parts(added)]
            self._asked += asked
            commands = [("UNSUBSCRIBE", *part) for part in _parts(dropped)]
            commands += [("SUBSCRIBE", *part) for part in asked]
            data = b"".join([pack(command) for command in commands])
            try:
                await connection.send_packed_command(data, check_health=False)
            except _LOST as error:
                logger.debug("lost the Pub/Sub connection while writing: %s", error)
                await self.break_off()


def _parts(channels: Iterable[str]) -> Iterator[list[str]]:
    """The channels of each command.

    Those of keys have commands of their own: a user may have no right to them only, and a SUBSCRIBE
    is refused as a whole.
    """
    names = list(channels)
    if len(names) == 1:  # as a rule
        yield names
        return
    own = [name for name in names if not is_keyspace(name)]
    of_keys = [name for name in names if is_keyspace(name)]
    for kind in (own, of_keys):
        for start in range(0, len(kind), _CHANNELS_AT_ONCE):
            yield kind[start : start + _CHANNELS_AT_ONCE]
