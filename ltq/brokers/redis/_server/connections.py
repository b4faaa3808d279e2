"""redis-py's connections, made to look up host names by themselves (see `resolver`)."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection, SSLConnection

from ltq.brokers.redis._server.resolver import addresses_of


class TcpConnection(Connection):
    """Connects to the first address of its host that answers."""

    _address = ""

    async def _connect(self) -> None:
        patience = self.socket_connect_timeout
        async with asyncio.timeout(patience):
            addresses = await addresses_of(self.host, self.port)
        failed: OSError = OSError(f"{self.host} has no address")
        for self._address in addresses:
            try:
                async with asyncio.timeout(patience and patience / len(addresses)):
                    await super()._connect()  # type: ignore[no-untyped-call]
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


def use_own_connections(pool: ConnectionPool) -> None:
    """Let a pool make connections of these classes."""
    pool.connection_class = _OWN.get(pool.connection_class, pool.connection_class)
