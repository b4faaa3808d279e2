"""What about a Redis server may lose tasks."""

from ltq.brokers.redis._link import Link, RefusedError


async def hazards(link: Link) -> list[str]:
    """See `Broker.hazards`. A server that does not tell is not accused."""
    try:
        memory = await _info(link, "memory")
    except RefusedError:
        return []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or memory.get("maxmemory") == "0":
        return []
    advice = "may evict tasks when its memory is full: set it to noeviction"
    return [f"Redis, its maxmemory-policy being {policy}, {advice}"]


async def _info(link: Link, section: str) -> dict[str, str]:
    reply: bytes = await link.call("INFO", section)
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
