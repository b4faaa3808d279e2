"""Calls to Redis: connections of one event loop, deadlines, repeats, and clear errors.

redis-py's own retry is not used, as it would silently repeat a command whose reply was lost. Every
call here is safe to repeat, knows how (see `_call`), and is repeated until its deadline.
"""

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakSet

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004  redis-py's name
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.deadlines import Deadline, Deadlines
from ltq.brokers.redis._connect.abandon import abandon_connection
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.asking import address_of
from ltq.brokers.redis._connect.connections import maker, usable_for
from ltq.brokers.redis._connect.credentials import AskCredentials
from ltq.brokers.redis._connect.dialer import Dialer
from ltq.brokers.redis._connect.whereabouts import Whereabouts
from ltq.brokers.redis._server.busy_poll import BusyPoll
from ltq.brokers.redis._server.call import Argument, Call, Command, Reply, pack
from ltq.brokers.redis._server.keys import Keys, ltq_keys
from ltq.brokers.redis._server.outage import Outage
from ltq.brokers.redis._server.refusals import (
    CLOSINGS,
    Failed,
    is_passing,
    read,
    refusal,
    too_late,
    unanswered,
)
from ltq.brokers.redis._server.replicas import Replicated
from ltq.brokers.redis._server.reply_limit import ReplyLimit
from ltq.brokers.redis._server.silence import SilenceTest
from ltq.brokers.redis._server.wire import ClosedError, Wire, wire_of

R = TypeVar("R")

CALL_PATIENCE = 4.0
"""Seconds without a byte from the server, retries included, before a call raises `BrokerError`."""

MAX_CONNECTIONS = 16
"""Most calls under way at once in one event loop. Others wait their turn."""

_ELSEWHERE = (ConnectionError, ReadOnlyError, MovedError, ClusterDownError)
"""After these the other connections may lead to a server that is gone, or is not the right one."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

_LARGE = 65536
"""Bytes of a call from which it may be too large for the server, which then closes connections."""


class Link:
    """Connections to one server, used in one event loop, opened as they are needed.

    For `busy_poll` seconds after each call the event loop stays awake for the reply.
    """

    def __init__(
        self,
        connect: Callable[[], Redis],
        name: str,
        busy_poll: float,
        keys: Keys = ltq_keys,
        whereabouts: Whereabouts | None = None,
        credentials: AskCredentials | None = None,
    ) -> None:
        self.keys = keys
        self.home = "probe"
        """A namespace whose keys are where this link leads: that of probes."""
        self._client = connect()
        self.whereabouts = whereabouts
        """Where the server is looked for; None if it is always at the same place."""
        self._address: Address | None = None
        """Where the last connection leads, if that may change."""
        self.on_moved: Callable[[], object] = lambda: None
        """Called when the server is another one than before."""
        self._make = maker(self._client.connection_pool, credentials)
        self.name = name
        """What error messages call the server."""
        self.cluster_url = ""
        """The URL to be used if the server is a node of a cluster."""
        self._connections: WeakSet[AbstractConnection] = WeakSet()
        self._wires: WeakSet[Wire] = WeakSet()
        self._free: list[Wire] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._replicated = asyncio.Semaphore(MAX_CONNECTIONS // 2)  # others go on while these wait
        self._deadlines = Deadlines(lambda: self._silence.ask())
        self._silence = SilenceTest(self._deadlines.doubted, self.look_again)
        self.reply_limit = ReplyLimit()
        self.replicas = 0
        """How many replicas a send waits for."""
        self.keeps_history = True
        """Whether scripts count what happens in the history of its queue."""
        self.lists_final = True
        """Whether final tasks are listed, and scripts keep lists of them."""
        self.tells_in = ""
        """The number of the database, if who watches a task is told how it ends."""
        self._dialer = Dialer(self.new_connection, self._keep, whereabouts, self._found)
        self._closed = False
        self._poll = BusyPoll(busy_poll)
        self.outage = Outage()
        """Whether calls fail, and when they did so last."""
        self.on_opened: Callable[[Wire], object] = lambda _: None
        """Called when a connection was opened for calls."""
        self.borrow: Callable[[], Wire | None] = lambda: None
        """Takes a connection that another link has and does not use."""

    @property
    def notes(self) -> str:
        """What scripts that end tasks note of them, as `lua/_notes.lua` reads it."""
        return f"{'history ' * self.keeps_history}{'listed' * self.lists_final}"

    @property
    def database(self) -> int:
        """The number of the database."""
        return int(self._client.connection_pool.connection_kwargs.get("db") or 0)

    @property
    def is_failing(self) -> bool:
        """Whether the last calls have failed, or were given up in a long silence."""
        return self.outage.since is not None

    def new_connection(self) -> AbstractConnection:
        """A connection for the caller alone, not yet connected."""
        connection = self._make()
        self._connections.add(connection)
        # Calls have their own deadlines. redis-py enforces its timeout by `wait_for`, which
        # sometimes swallows a cancellation on Python 3.11, and it would cut off blocking pops.
        connection.socket_timeout = None
        return connection

    async def connect(self, connection: AbstractConnection) -> None:
        """Open a connection. While the server cannot be reached, all callers share the attempts."""
        await self._dialer.connect(connection)

    def call(self, *command: Argument, patience: float = CALL_PATIENCE) -> Awaitable[Reply]:
        """Send a command that may safely be repeated. Raises `BrokerError`."""
        return self.evaluate(Command(command), patience=patience)

    async def evaluate(self, call: Call[R], *, patience: float = CALL_PATIENCE) -> R:
        """Make a call, and repeat it for up to `patience` seconds. Raises `BrokerError`."""
        failed: Failed | None = None
        deadline = self._deadlines.within(patience, doubts=True)
        try:
            with deadline:
                try:
                    reply = await self._attempt(call, deadline)
                except RedisError as error:
                    failed = Failed(error)
                    reply = await self._repeat(call, failed, deadline)
                except asyncio.CancelledError:
                    if deadline.is_doubted:
                        self.outage.failed()
                    raise
        except builtins.TimeoutError:
            self.outage.failed()
            await self._look_elsewhere(deadline, None)  # the other connections may be dead as well
            cause = failed.error if failed else None
            raise too_late(self.name, patience, failed, at=self._dialer.address) from cause
        if self.outage.since is not None:
            self.outage.is_over()
        return read(call, reply, self.name)

    async def block(
        self, *command: Argument, patience: float, behind: Call[object] | None = None
    ) -> Reply:
        """Send a blocking command once, without taking a turn. Raises `BrokerError`, which is a
        `RefusedError` if the same call would fail again.

        With a call `behind` it, the replies to both, and any may be an error."""
        deadline = self._deadlines.within(patience)
        data, count = pack(command), 1
        if behind is not None:
            data, count = data + behind.packed(), 2
        try:
            with deadline:
                return await self._exchange(data, deadline, count=count)
        except RedisError as error:
            raise unanswered(error, self.name) from error
        except builtins.TimeoutError:
            await self._look_elsewhere(deadline, None)
            raise too_late(self.name, patience, None, at=self._dialer.address) from None

    async def aclose(self) -> None:
        """Close all connections. Those of calls under way are closed when the calls end."""
        self._closed = True
        self._deadlines.close()
        await self._drop_free()
        await self._silence.aclose()
        await self._dialer.aclose()
        await self._client.aclose()

    def abandon(self) -> None:
        """Close all connections without waiting, in the event loop or after that was closed."""
        self._closed = True
        self._deadlines.close()
        self._silence.abandon()
        self._dialer.abandon()
        for connection in list(self._connections):
            abandon_connection(connection)
        for wire in list(self._wires):
            wire.abandon()

    def is_idle(self, wire: Wire) -> bool:
        """Whether a connection is open for calls, and none uses it."""
        return wire in self._free

    def give_up(self, wire: Wire) -> bool:
        """Forget a connection if no call uses it; return whether that is so."""
        if is_idle := self.is_idle(wire):
            self._free.remove(wire)
            self._wires.discard(wire)
        return is_idle

    def _attempt(self, call: Call[R], deadline: Deadline) -> Awaitable[Reply]:
        in_turn = isinstance(call, Replicated)
        return (self._attempt_in_turn if in_turn else self._attempt_now)(call, deadline)

    async def _attempt_in_turn(self, call: Call[R], deadline: Deadline) -> Reply:
        async with self._replicated:
            return await self._attempt_now(call, deadline)

    async def _attempt_now(self, call: Call[R], deadline: Deadline) -> Reply:
        await self._slots.acquire()  # `async with` would cost two more coroutines
        began = self._poll.begin()
        try:
            try:
                return await self._exchange(call.packed(), deadline, call)
            except NoScriptError:
                words = call.words_with_source()
                if words is None:
                    raise
            # The server was restarted, promoted or flushed: send the script again. Not while the
            # error is handled, as `fakeredis` would keep it, and with it the caller's context.
            return await self._exchange(pack(words), deadline, call)
        finally:
            self._poll.end(began)
            self._slots.release()

    async def _repeat(self, call: Call[R], failed: Failed, deadline: Deadline) -> Reply:
        """Repeat a call that failed, until it is answered or refused.

        One that moves bytes may take longer than its patience, but is not begun again after that,
        except once.
        """
        pauses: ExponentialBackoff | None = None
        closings = 0
        last_start = deadline.began + deadline.seconds
        loop = asyncio.get_running_loop()
        while True:
            await self._check_failure(failed.error, deadline)
            failed.closings += isinstance(failed.error, ClosedError)
            closings = closings + 1 if await self._closed_upon(failed.error, deadline) else 0
            if closings == CLOSINGS:
                raise refusal(failed.error, self.name) from failed.error
            if pauses is None:  # repeat at once: the connection may only have been idle too long
                pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
            else:
                await asyncio.sleep(pauses.next())
                if loop.time() > last_start:
                    raise builtins.TimeoutError
            call = call.repeated()
            try:
                return await self._attempt(call, deadline)
            except RedisError as error:
                failed.error = error

    async def _check_failure(self, error: RedisError, deadline: Deadline) -> None:
        """Raise `BrokerError` if repeating the call is useless."""
        is_lost = isinstance(error, MovedError) and self.whereabouts is None
        if is_lost or not is_passing(error):
            raise refusal(error, self.name, self.cluster_url) from error
        self.outage.failed()
        if isinstance(error, ClosedError):
            self.reply_limit.closed()  # its reply may have been too large for the server's buffers
        if isinstance(error, _ELSEWHERE) or "READONLY" in str(error):
            await self._look_elsewhere(deadline, error)

    async def _look_elsewhere(self, deadline: Deadline, error: RedisError | None) -> None:
        """The server of a call is gone, or is not the right one: use none of its connections."""
        address = getattr(deadline.activity, "address", None)
        if self.whereabouts is not None and address is not None:
            self.whereabouts.mark_stale(address, error)
        await self._drop_free()

    def _found(self, address: Address) -> None:
        """A connection was opened. If it leads elsewhere, the others are of no use any more."""
        before, self._address = self._address, address
        if before not in (None, address):
            for wire in list(self._wires):
                if wire.address != address:
                    wire.break_off("the server is another one now")
            self.on_moved()

    async def _closed_upon(self, error: RedisError, deadline: Deadline) -> bool:
        """Whether the server has closed the connection upon a large call, and answers others."""
        if not (isinstance(error, ClosedError) and error.size > _LARGE):
            return False
        try:
            await self._exchange(pack(("PING",)), deadline)
        except RedisError as unanswered:
            return isinstance(unanswered, ResponseError)
        return True

    async def _exchange(
        self, data: bytes, deadline: Deadline, call: Call[object] | None = None, count: int = 1
    ) -> Reply:
        """Send a command (or so many) once, on a connection that no other call uses."""
        wire = self._free.pop() if self._free else self._borrowed()
        if wire is None or not wire.is_open:
            wire = await self._open()
        deadline.activity = wire
        try:
            if isinstance(call, Replicated):
                left = deadline.began + deadline.seconds - asyncio.get_running_loop().time()
                reply = await call.exchange(wire, data, left, self.name)
            else:
                reply = await (wire.call(data) if count == 1 else wire.call_all(data, count))
        except BaseException:
            await wire.aclose()  # a reply may still be on its way
            raise
        if self._closed:
            await wire.aclose()
        else:
            self._free.append(wire)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _borrowed(self) -> Wire | None:
        """A connection of another link, unless calls fail: it may be as dead as those."""
        wire = None if self.is_failing else self.borrow()
        if wire is not None and wire.address is not None:
            self._wires.add(wire)
            self._found(wire.address)
        return wire

    async def _open(self) -> Wire:
        """Open a connection for calls."""
        connection = self.new_connection()
        try:
            await self.connect(connection)
            return self._wire(connection)
        except (RuntimeError, OSError) as error:  # uvloop: "the handler is closed"
            await connection.disconnect(nowait=True)
            raise ConnectionError(str(error)) from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def look_again(self) -> None:
        """Make a call on a new connection, to where the server is now. Raises `RedisError`."""
        if self.whereabouts is not None and self._address is not None:
            self.whereabouts.mark_stale(self._address, None)  # perhaps it is elsewhere now
        wire = await self._open()
        try:
            reply = await wire.call(pack(("PING",)))
        finally:
            await wire.aclose()
        if isinstance(reply, Exception):
            raise reply

    def _wire(self, connection: AbstractConnection) -> Wire:
        wire = wire_of(connection)
        wire.address = None if self.whereabouts is None else address_of(connection)
        self._wires.add(wire)
        if (seconds := usable_for(connection)) is not None:
            wire.retire_after(seconds)
        self.on_opened(wire)
        return wire

    def _keep(self, connection: AbstractConnection) -> bool:
        """Keep a connection for later calls. Returns False if the link has been closed."""
        if not self._closed:
            self._free.append(self._wire(connection))
        return not self._closed

    async def _drop_free(self) -> None:
        wires, self._free = self._free, []
        for wire in wires:
            await wire.aclose()
