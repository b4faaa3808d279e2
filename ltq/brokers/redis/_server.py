"""What one asks any Redis server: its clock, what INFO says, whether it tells of changed keys."""

import asyncio

from redis.exceptions import RedisError

from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link, RefusedError
from ltq.names import new_id

_PROBE_TTL = 1000
"""Milliseconds that the key of a probe stays."""


async def server_time(link: Link) -> float:
    """The server's clock: Unix seconds."""
    seconds, micros = await link.call("TIME")
    return int(seconds) + int(micros) / 1_000_000


async def server_info(link: Link, *sections: str) -> dict[str, str]:
    """What INFO says, by name; nothing where it is refused."""
    try:
        reply: bytes = await link.call("INFO", *sections)
    except RefusedError:
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def write_probe(link: Link, key: str) -> None:
    """Change and expire a key of `_keys.probe`, of which a server that notifies then tells."""
    await link.call("HSET", key, "probe", "1")
    await link.call("PEXPIRE", key, _PROBE_TTL)


async def is_notified(link: Link, within: float) -> bool | None:
    """Whether the server tells of a changed key within so many seconds; None: it cannot be tried.

    Tried out on a connection of its own.
    """
    key = _keys.probe(new_id())
    connection = link.new_connection()
    try:
        await link.connect(connection)
        async with asyncio.timeout(within):
            await connection.send_command("SUBSCRIBE", _keys.keyspace(link.database, key))
            await connection.read_response()
            await write_probe(link, key)
            await connection.read_response()
    except TimeoutError:
        return False
    except (RedisError, RefusedError):
        return None
    finally:
        await connection.disconnect(nowait=True)
    return True
