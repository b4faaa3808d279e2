"""Questions to a Redis server: its clock, its INFO, and whether it sends notifications."""

import asyncio

from redis.exceptions import RedisError, ResponseError

from ltq.brokers.redis._server.keys import keyspace
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.errors import BrokerError
from ltq.names import new_id

PING_PATIENCE = 3.0
"""Seconds a test waits for an answer: less than other calls."""

_PROBE_TTL = 1000
"""Milliseconds after which the key of a probe expires."""

_SUBSCRIBED_WITHIN = 1.0
"""Seconds within which the server has to answer a SUBSCRIBE."""


async def server_time(link: Link) -> float:
    """The server's clock: Unix seconds."""
    seconds, micros = await link.call("TIME")
    return int(seconds) + int(micros) / 1_000_000


async def server_info(link: Link, *sections: str) -> dict[str, str]:
    """What INFO says, by name; empty if it is refused."""
    try:
        reply: bytes = await link.call("INFO", *sections)
    except RefusedError:
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def check_cluster(link: Link) -> None:
    """Raise `BrokerError` if a node says that its cluster does not work."""
    try:
        reply: bytes = await link.call("CLUSTER", "INFO", patience=PING_PATIENCE)
    except RefusedError as error:
        if not error.is_refusal:
            raise
        return  # it answers, but the user has no right to ask
    if b"cluster_state:fail" in reply:
        raise BrokerError(f"the cluster of Redis at {link.name} is down: too many nodes are away")


async def write_probe(link: Link, key: str) -> None:
    """Change a key of `Keys.probe` and let it expire, which should cause a notification."""
    await link.call("HSET", key, "probe", "1")
    await link.call("PEXPIRE", key, _PROBE_TTL)


async def is_notified(link: Link, within: float) -> bool | None:
    """Whether a notification of a changed key arrives within this time (in seconds).

    Returns None if that cannot be tried. Uses a connection of its own.
    """
    key = link.keys.probe(link.home, new_id())
    connection = link.new_connection()
    try:
        await link.connect(connection)
        async with asyncio.timeout(within):
            await connection.send_command("SUBSCRIBE", keyspace(link.database, key))
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


async def refusal_of_channel(link: Link, channel: str) -> str:
    """The server's text if it refuses to subscribe to a channel, otherwise an empty one."""
    connection = link.new_connection()
    try:
        await link.connect(connection)
        async with asyncio.timeout(_SUBSCRIBED_WITHIN):
            await connection.send_command("SUBSCRIBE", channel)
            await connection.read_response()
    except ResponseError as error:
        return str(error)
    except (RedisError, TimeoutError):
        return ""
    finally:
        await connection.disconnect(nowait=True)
    return ""
