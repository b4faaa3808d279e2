"""A connection that makes calls: bytes of a command out, its reply back.

redis-py opens connections and greets the server. Afterwards the bytes go straight between the
transport and hiredis's parser, which saves several coroutines for each call, and tells when the
last byte moved.
"""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Protocol, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    ConnectionError,  # noqa: A004  redis-py's name
    InvalidResponse,
    ResponseError,
)

from ltq.brokers._rules.constants import SLOWEST
from ltq.brokers.redis._connect.abandon import abandon_connection, abandon_transport
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.connections import Stream, take_over
from ltq.brokers.redis._server.call import Reply

try:
    import fcntl
    import termios
except ImportError:  # Windows
    _ASKS_THE_SYSTEM = False
else:
    _ASKS_THE_SYSTEM = sys.platform == "linux"
    """Whether the system tells how many bytes of a socket were not acknowledged."""

_LOOK_EVERY = 1.0
"""Seconds between two looks at a command that is being sent."""


class ClosedError(ConnectionError):
    """The connection was closed during a call of `size` bytes."""

    def __init__(self, reason: str, size: int) -> None:
        super().__init__(f"the connection was closed during a call of {size} bytes ({reason})")
        self.size = size


class Wire(Protocol):
    """A connection that makes one call at a time."""

    address: Address | None
    """Where it leads, if the server may be elsewhere later."""

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        ...

    @property
    def used_at(self) -> float:
        """When a byte of its last call moved, by the event loop's clock."""
        ...

    def call(self, data: bytes) -> Awaitable[Reply]:
        """Send a command. The reply may be an error. Raises `ConnectionError`."""
        ...

    def call_all(self, data: bytes, count: int) -> Awaitable[list[Reply]]:
        """Send several commands at once. Any reply may be an error. Raises `ConnectionError`."""
        ...

    def lasts_until(self, now: float, patience: float) -> float:
        """Until when the call may go on, by the loop's time, if no further byte moves."""
        ...

    def break_off(self, reason: str) -> None:
        """Close the connection: a call under way raises `ConnectionError`."""
        ...

    def retire_after(self, seconds: float) -> None:
        """Close the connection then, or as soon after that as it is idle."""
        ...

    async def aclose(self) -> None:
        """Close the connection at once."""
        ...

    def abandon(self) -> None:
        """Close the connection, in its event loop or after that was closed."""
        ...


def wire_of(connection: AbstractConnection) -> Wire:
    """Take over an open connection of redis-py. Raises `ConnectionError` if it has just ended."""
    stream = take_over(connection)
    if stream is None:
        return StreamWire(connection)
    if stream.is_over:
        abandon_transport(stream.writer.transport)
        raise ConnectionError("closed by the server as soon as it was open")
    return TransportWire(stream)


class StreamWire:
    """A connection that cannot be taken over, as of `fakeredis`: redis-py reads and writes."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.address: Address | None = None
        self.used_at = asyncio.get_running_loop().time()

    @property
    def is_open(self) -> bool:
        return bool(self._connection.is_connected)

    async def call(self, data: bytes) -> Reply:
        (reply,) = await self.call_all(data, 1)
        return reply

    async def call_all(self, data: bytes, count: int) -> list[Reply]:
        self.used_at = asyncio.get_running_loop().time()
        await self._connection.send_packed_command(data, check_health=False)
        return [await self._read() for _ in range(count)]

    async def _read(self) -> Reply:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    def lasts_until(self, now: float, patience: float) -> float:
        return -math.inf

    def break_off(self, reason: str) -> None:
        abandon_connection(self._connection)

    def retire_after(self, seconds: float) -> None:
        """It cannot be told here whether it is idle; the server closes it then."""

    async def aclose(self) -> None:
        await self._connection.disconnect(nowait=True)

    def abandon(self) -> None:
        abandon_connection(self._connection)


class TransportWire(asyncio.Protocol):
    """A connection over a transport of the event loop."""

    def __init__(self, stream: Stream) -> None:
        loop = asyncio.get_running_loop()
        self._new_future = loop.create_future
        self._time = loop.time
        self._writer = stream.writer  # see `forget_stream`
        self._transport = cast(asyncio.Transport, stream.writer.transport)
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=_error_parser(stream.parse_error),
            notEnoughData=_PARTIAL,
        )
        self.is_open = True
        self.address: Address | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._replies: list[Reply] = []
        self._awaited = 0
        """How many replies come before the one that ends the present call."""
        self._moved_at = loop.time()
        self._size = 0
        """Bytes of the present command, until the first byte of the reply."""
        self._asked = 0
        """Bytes of the present command."""
        self._left = 0
        """How many of them were not acknowledged when this was last looked at."""
        self._is_retired = False
        """Whether it is closed after the present call."""
        self._retirement: asyncio.TimerHandle | None = None
        self._has_worked = False
        """Whether a call has been answered."""
        self._transport.set_protocol(self)

    @property
    def used_at(self) -> float:
        return self._moved_at

    def call(self, data: bytes) -> "asyncio.Future[Reply]":
        self._moved_at = self._time()
        self._size = self._left = self._asked = len(data)
        self._reply = reply = self._new_future()
        try:
            self._transport.write(data)
        except RuntimeError as error:  # uvloop: "the handler is closed"
            raise ConnectionError(str(error)) from error
        return reply

    async def call_all(self, data: bytes, count: int) -> list[Reply]:
        self._awaited, self._replies = count - 1, []
        last = await self.call(data)
        return [*self._replies, last]

    def lasts_until(self, now: float, patience: float) -> float:
        # Proxies and buffers on the way may hold what was sent, so it gets time to arrive.
        moved_at = self._moved_at + self._size / SLOWEST
        left = self._unsent() if self._size else 0
        if left > 0:
            if left < self._left:
                self._left, self._moved_at = left, now
            until = self._moved_at + patience
            return min(until, now + _LOOK_EVERY) if until > now else until
        return moved_at + patience

    def is_silent_since(self, moment: float) -> bool:
        """Whether a connection that worked before has not begun to answer a call of before then."""
        return self._has_worked and self._size > 0 and self._moved_at < moment

    def break_off(self, reason: str) -> None:
        self._fail(ConnectionError(reason))

    def retire_after(self, seconds: float) -> None:
        if self.is_open:
            loop = asyncio.get_running_loop()
            self._retirement = loop.call_later(seconds, self._retire, context=Context())

    def _retire(self) -> None:
        if self._reply is None:
            self._close()
        else:
            self._is_retired = True

    async def aclose(self) -> None:
        self._close()

    def abandon(self) -> None:
        self.is_open = False
        self._cancel_retirement()
        abandon_transport(self._transport)

    def data_received(self, data: bytes) -> None:
        self._size = 0
        try:
            self._parser.feed(data)
            reply = self._parser.gets()
            while self._awaited and reply is not _PARTIAL:
                self._awaited -= 1
                self._replies.append(reply)
                reply = self._parser.gets()
        except InvalidResponse as error:
            self._fail(ConnectionError(f"not a reply: {error}"))
            return
        if reply is _PARTIAL:
            self._moved_at = self._time()
            return
        waiting, self._reply = self._reply, None
        self._has_worked = True
        if waiting is None or self._is_retired or self._parser.has_data():
            self._close()  # nobody asked for that: the next call would get a reply of another one
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = str(exc) if exc is not None else "by the server"
        self._fail(ClosedError(reason, self._asked))

    def _fail(self, error: ConnectionError) -> None:
        self._close()
        waiting, self._reply = self._reply, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _close(self) -> None:
        self.is_open = False
        self._cancel_retirement()
        self._transport.abort()  # `close` would first send what is left of a command

    def _cancel_retirement(self) -> None:
        """The timer would keep the connection in memory."""
        if self._retirement is not None:
            self._retirement.cancel()

    def _unsent(self) -> int:
        """Bytes of the command that the other side has not acknowledged, as far as known."""
        unsent: int = self._transport.get_write_buffer_size()
        socket = self._transport.get_extra_info("socket")
        if _ASKS_THE_SYSTEM and socket is not None:
            with suppress(OSError, ValueError):  # it was closed just now
                queued = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
                unsent += int.from_bytes(queued, sys.byteorder)
        return unsent


_PARTIAL = object()
"""What hiredis returns while the reply is not complete."""


def _error_parser(parse: Callable[[str], Exception]) -> Callable[[str], Exception]:
    def parse_error(text: str) -> Exception:
        try:
            return parse(text)
        except Exception:  # it expects MOVED and ASK to be well-formed
            return ResponseError(text)

    return parse_error
