"""Calls to Redis: connections of one event loop, deadlines, retries, and errors told plainly.

redis-py's own retry is not used: it would repeat a command silently after a lost reply. Every
call here is safe to repeat, so it is repeated knowingly, until its deadline.
"""

import asyncio
import builtins
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  redis-py's name
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.deadlines import Deadlines
from ltq.brokers.redis._busy_poll import BusyPoll
from ltq.brokers.redis._dialer import Dialer
from ltq.brokers.redis._scripts import sha, source
from ltq.errors import BrokerError

Argument = str | bytes | int | float
Reply = Any
"""What Redis answers: bytes, ints, None, and lists of these. Each caller knows its shape."""

PATIENCE = 4.0
"""Seconds a call may take in all, retries included, before `BrokerError`."""

MAX_CONNECTIONS = 16
"""Calls under way at once in one event loop; more wait their turn."""

_PASSING = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
)
_PASSING_TEXTS = re.compile(
    r"(^|[\s-])(BUSY|LOADING|READONLY|MISCONF|NOREPLICAS|UNBLOCKED|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b"
)
"""Also where a script was refused in the middle: then the server tells so within its error."""

_FINAL = (AuthenticationError, AuthorizationError)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

OUTAGE = 1.0
"""Seconds without success after which the server counts as having been away."""


class RefusedError(BrokerError):
    """The server answered, and the answer was no: repeating the call would change nothing."""

    is_refusal = True


class LockedOutError(RefusedError):
    """User or password are wrong: every call is refused, until somebody sets that right."""

    is_refusal = False


def is_passing(error: RedisError) -> bool:
    """Whether the same call may succeed later: after a restart, a failover, a slow script."""
    if isinstance(error, _FINAL):
        return False
    return isinstance(error, _PASSING) or bool(_PASSING_TEXTS.search(str(error)))


def is_lasting(error: Exception) -> bool:
    """Whether an error of one call holds for those that wait behind it: the server is away."""
    return isinstance(error, BrokerError) and not isinstance(error, RefusedError)


class Link:
    """Connections to one server, used in one event loop, opened as they are needed.

    For `busy_poll` seconds after each call the loop stays awake for its reply.
    """

    def __init__(self, connect: Callable[[], Redis], name: str, busy_poll: float) -> None:
        self._client = connect()
        self._name = name
        self._free: list[AbstractConnection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._deadlines = Deadlines()
        self._dialer = Dialer(self.new_connection, self._keep)
        self._closed = False
        self._poll = BusyPoll(busy_poll)
        self._failing_since: float | None = None
        self.back_since: float = -math.inf
        """When the last outage was over, by the event loop's clock."""

    @property
    def database(self) -> int:
        """The number of the database."""
        return int(self._client.connection_pool.connection_kwargs.get("db") or 0)

    def new_connection(self) -> AbstractConnection:
        """A connection for the caller alone, not yet connected."""
        connection: AbstractConnection = self._client.connection_pool.make_connection()
        return connection

    async def connect(self, connection: AbstractConnection) -> None:
        """Open a connection; while the server is away, in turns with all others of this link."""
        await self._dialer.connect(connection)

    def run(
        self,
        script: str,
        prefix: str,
        *arguments: Argument,
        patience: float = PATIENCE,
        if_repeated: Argument | None = None,
    ) -> Awaitable[Reply]:
        """Run a Lua script on the keys of a prefix. Raises `BrokerError`.

        `if_repeated` stands for the first argument where the call may have been carried out
        already and only its reply was lost.
        """
        command = ("EVALSHA", sha(script), 1, prefix, *arguments)
        return self._repeat(command, script, patience, if_repeated)

    def call(self, *command: Argument, patience: float = PATIENCE) -> Awaitable[Reply]:
        """Send a command that may safely be repeated. Raises `BrokerError`."""
        return self._repeat(command, None, patience)

    async def _repeat(
        self,
        command: tuple[Argument, ...],
        script: str | None,
        patience: float,
        if_repeated: Argument | None = None,
    ) -> Reply:
        error: RedisError | None = None
        pauses: ExponentialBackoff | None = None
        try:
            with self._deadlines.within(patience):
                while True:
                    try:
                        await self._slots.acquire()  # `async with` would be two coroutines more
                        began = self._poll.begin()
                        try:
                            reply = await self._exchange(command, script)
                        finally:
                            self._poll.end(began)
                            self._slots.release()
                        if self._failing_since is not None:
                            self._succeeded()
                        return reply
                    except RedisError as failed:
                        error = failed
                    if not is_passing(error):
                        raise self._broker_error(error) from error
                    command = _repeated(command, if_repeated)
                    self._failed()
                    if isinstance(error, ConnectionError) or "READONLY" in str(error):
                        await self._drop_free()  # they lead to a server that is no more
                    if pauses is None:  # once more at once: it may only have been idle too long
                        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
                    else:
                        await asyncio.sleep(pauses.next())
        except builtins.TimeoutError:
            self._failed()
            await self._drop_free()  # they may be as dead as the one that did not answer
            raise self._broker_error(error, patience) from error

    def _failed(self) -> None:
        if self._failing_since is None:
            self._failing_since = asyncio.get_running_loop().time()

    def _succeeded(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._failing_since is not None and now - self._failing_since >= OUTAGE:
            self.back_since = now
        self._failing_since = None

    async def block(self, *command: Argument, patience: float) -> Reply:
        """Send a blocking command once, beside the other calls. Raises `BrokerError`."""
        try:
            with self._deadlines.within(patience):
                return await self._exchange(command, None)
        except RedisError as error:
            raise self._broker_error(error) from error
        except builtins.TimeoutError:
            raise self._broker_error(None, patience) from None

    async def aclose(self) -> None:
        """Close all connections; those of calls under way when these end."""
        self._closed = True
        self._deadlines.close()
        await self._dialer.aclose()
        await self._drop_free()
        await self._client.aclose()

    def _broker_error(self, error: RedisError | None, patience: float | None = None) -> BrokerError:
        if isinstance(error, _FINAL):
            return LockedOutError(f"Redis at {self._name} refused the user or password: {error}")
        if patience is None:
            return RefusedError(f"Redis at {self._name} refused the call: {error}")
        reason = error or "no answer"
        return BrokerError(f"Redis at {self._name} did not do it within {patience:g} s: {reason}")

    async def _exchange(self, command: tuple[Argument, ...], script: str | None) -> Reply:
        connection = self._free.pop() if self._free else self.new_connection()
        try:
            if not connection.is_connected:
                await self.connect(connection)
            reply = await _exchange(connection, command, script)
        except ResponseError:
            if not self._keep(connection):
                await connection.disconnect(nowait=True)
            raise
        except (RuntimeError, OSError) as error:  # uvloop: "the handler is closed"
            await connection.disconnect(nowait=True)
            raise ConnectionError(str(error)) from error
        except BaseException:
            await connection.disconnect(nowait=True)  # a reply may still be on its way
            raise
        if not self._keep(connection):
            await connection.disconnect(nowait=True)
        return reply

    def _keep(self, connection: AbstractConnection) -> bool:
        """Keep a connection for later calls; False if the link was closed meanwhile."""
        if not self._closed:
            self._free.append(connection)
        return not self._closed

    async def _drop_free(self) -> None:
        connections, self._free = self._free, []
        for connection in connections:
            await connection.disconnect(nowait=True)


def _repeated(command: tuple[Argument, ...], first: Argument | None) -> tuple[Argument, ...]:
    """The command as it is sent again, with another first argument of its script, if any."""
    return command if first is None else (*command[:4], first, *command[5:])


def pack(command: tuple[Argument, ...]) -> bytes:
    """A command as it travels; hiredis does that many times faster than redis-py."""
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub means 1-tuples
    return packed


async def _exchange(
    connection: AbstractConnection, command: tuple[Argument, ...], script: str | None
) -> Reply:
    await connection.send_packed_command(pack(command), check_health=False)
    try:
        return await connection.read_response()
    except NoScriptError:
        if script is None:
            raise
        # The server was restarted, promoted or flushed: tell it the script again.
        whole = ("EVAL", source(script), *command[2:])
        await connection.send_packed_command(pack(whole), check_health=False)
        return await connection.read_response()
