"""Settings of a Redis server that may lose tasks."""

from ltq.brokers.redis._operations.rights import check_rights
from ltq.brokers.redis._server.info import server_info
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError


async def hazards(links: Links) -> list[str]:
    """See `Broker.hazards`. A server that hides its settings gets no warning.

    Raises `RefusedError` if the user lacks a right without which tasks would be lost, or a node of
    a cluster refuses user or password.
    """
    if not links.is_split:
        return await _of_server(links.any)
    found: list[str] = []
    for node in await links.masters():
        try:
            found += [f"{node.name}: {text}" for text in await _of_server(node)]
        except BrokerError as error:
            if not error.is_away:
                raise
    return found


async def _of_server(link: Link) -> list[str]:
    await check_rights(link)
    memory = await server_info(link, "memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or memory.get("maxmemory") == "0":
        return []
    policy = f"its maxmemory-policy is {policy}: set it to noeviction"
    return [f"Redis may evict tasks when its memory is full, as {policy}"]
