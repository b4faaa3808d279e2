"""Asking a server one thing, on a connection that is opened for that."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.connections import prepare
from ltq.brokers.redis._connect.tls import load_files
from ltq.brokers.redis._connect.whereabouts import Ask

_WITHIN = 1.0
"""Seconds that a server has for its answer, with the connection."""

_CREDENTIALS_WITHIN = 1.8
"""Seconds that code has to say user and password: less than a look at a cluster may take."""


def asking(make: Callable[[], AbstractConnection]) -> Ask:
    """What asks a server. `make` makes a connection that is not yet open."""

    async def ask(address: Address, command: tuple[str, ...]) -> object:
        connection = make()
        lead_to(connection, address)
        try:
            load_files(connection)
            await prepare(connection, _CREDENTIALS_WITHIN)
            async with asyncio.timeout(_WITHIN):
                await connection.connect()
                await connection.send_command(*command)
                return await connection.read_response()
        except TimeoutError:
            raise OSError(f"no answer within {_WITHIN:g} s") from None
        finally:
            await connection.disconnect(nowait=True)

    return ask


def address_of(connection: AbstractConnection) -> Address:
    """Where a connection leads."""
    inner: Any = connection
    return Address(inner.host, inner.port)


def lead_to(connection: AbstractConnection, address: Address) -> None:
    """Let a connection that is not yet open lead elsewhere."""
    inner: Any = connection  # those that are no TCP connections have no address
    inner.host, inner.port = address
