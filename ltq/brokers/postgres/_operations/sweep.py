"""Sweeping namespaces, and upkeep."""

from collections.abc import Iterable

from ltq.brokers.postgres._server.link import Link
from ltq.message import Swept

_MOST_REMOVED = 10_000
"""Most rows of each kind that one call of upkeep removes."""


async def sweep(link: Link, namespaces: Iterable[str]) -> Swept:
    """Make due tasks ready, and take back those of dead workers."""
    recovered = promoted = buried = 0
    for namespace in namespaces:
        ((due, lost),) = await link.call("sweep", namespace)
        promoted += due
        if lost:
            swept = await take_back(link, namespace)
            recovered, buried = recovered + swept.recovered, buried + swept.buried
            promoted += swept.promoted
    return Swept(recovered=recovered, promoted=promoted, buried=buried)


async def take_back(link: Link, namespace: str) -> Swept:
    """Take back the tasks of dead workers."""
    return await link.run(lambda store: store.sweep([namespace]))


async def upkeep(link: Link) -> None:
    """Add up what was counted, and forget what has expired."""
    await link.call("upkeep", _MOST_REMOVED)
    await link.call("rotate")
