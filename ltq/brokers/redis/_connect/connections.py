"""redis-py's connections: all that LTQ uses of their private parts.

A release of redis-py may change these. Then names are looked up by the event loop (`_connect` and
`_connection_arguments` are not called), and redis-py reads and writes (`take_over` finds nothing).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection

from ltq.brokers.redis._connect.credentials import WITHIN, AskCredentials, ConnectionCredentials
from ltq.brokers.redis._connect.resolver import addresses_of

_USED_SHARE = 0.9
"""The part of its credentials' life for which a connection is used."""


class TcpConnection(Connection):
    """Looks up its host by `resolver`, and connects to the first address that answers."""

    _address = ""

    async def _connect(self) -> None:
        patience = self.socket_connect_timeout
        async with asyncio.timeout(patience):
            addresses = await addresses_of(self.host, self.port)
        failed: OSError = OSError(f"{self.host} has no address")
        for self._address in addresses:
            try:
                async with asyncio.timeout(patience and patience / len(addresses)):
                    await super()._connect()  # type: ignore[no-untyped-call]  # redis-py
            except OSError as error:  # a TimeoutError is one, too
                failed = error
            else:
                return
        raise failed

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "host": self._address}


class TlsConnection(TcpConnection, SSLConnection):
    """The same over TLS. The certificate is still that of the host's name."""

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "server_hostname": self.host}


_OWN: Mapping[type, type] = {Connection: TcpConnection, SSLConnection: TlsConnection}


def maker(
    pool: ConnectionPool, credentials: AskCredentials | None
) -> Callable[[], AbstractConnection]:
    """What makes connections of these classes as a pool does, not yet open."""
    pool.connection_class = _OWN.get(pool.connection_class, pool.connection_class)

    def make() -> AbstractConnection:
        connection: AbstractConnection = pool.make_connection()
        if credentials is not None:
            connection.credential_provider = ConnectionCredentials(credentials)
        return connection

    return make


async def prepare(connection: AbstractConnection, within: float = WITHIN) -> None:
    """Have the credentials of a connection that is to be opened, if code says them.

    A coroutine has `within` seconds for it. Raises `CredentialsError`.
    """
    provider = connection.credential_provider
    if isinstance(provider, ConnectionCredentials):
        await provider.prepare(within)


def usable_for(connection: AbstractConnection) -> float | None:
    """Seconds for which an open connection is used, if its credentials will not be valid then."""
    provider = connection.credential_provider
    seconds = provider.valid_for if isinstance(provider, ConnectionCredentials) else None
    return None if seconds is None else seconds * _USED_SHARE


class Stream(NamedTuple):
    """What was taken from a connection."""

    writer: asyncio.StreamWriter
    parse_error: Callable[[str], Exception]
    """Makes an error of what the server says. It may raise one for a text that it cannot read."""
    is_over: bool
    """Whether the server has ended it already: nobody is told of that a second time."""


def take_over(connection: AbstractConnection) -> Stream | None:
    """Take the stream of an open connection, which does not touch it from then on.

    Returns None if there is none over a transport that is known, as with `fakeredis`.
    """
    inner: Any = connection
    reader: Any = getattr(inner, "_reader", None)
    writer: Any = getattr(inner, "_writer", None)
    parse_error: Any = getattr(getattr(inner, "_parser", None), "parse_error", None)
    if not hasattr(getattr(writer, "transport", None), "set_protocol") or parse_error is None:
        return None
    is_over = writer.transport.is_closing() or (reader is not None and reader.at_eof())
    forget_stream(connection)
    return Stream(writer, parse_error, is_over)


def forget_stream(connection: AbstractConnection) -> Any:
    """Let a connection forget its stream, as if it were closed.

    Returns the writer, None if there is none. It has to live as long as the transport is open.
    """
    inner: Any = connection
    writer = getattr(inner, "_writer", None)
    if writer is not None:
        inner._reader = inner._writer = None  # noqa: SLF001  see the module
    return writer
