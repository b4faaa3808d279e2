"""Settings of a Redis server that may lose tasks."""

from ltq.brokers.redis._operations.rights import check_rights
from ltq.brokers.redis._server.info import server_info
from ltq.brokers.redis._server.link import Link


async def hazards(link: Link) -> list[str]:
    """See `Broker.hazards`. A server that hides its settings gets no warning.

    Raises `RefusedError` if the user lacks a right without which tasks would be lost.
    """
    await check_rights(link)
    memory = await server_info(link, "memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or memory.get("maxmemory") == "0":
        return []
    policy = f"its maxmemory-policy is {policy}: set it to noeviction"
    return [f"Redis may evict tasks when its memory is full, as {policy}"]
