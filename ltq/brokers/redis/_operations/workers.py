"""Reading from Redis which workers there are, and which lanes live ones serve."""

from collections.abc import Sequence

from ltq.broker import HeldTask, list_workers
from ltq.brokers.redis._operations.spread import in_each, read_each
from ltq.brokers.redis._operations.worker_registry import read_seen
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.info import server_time
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.names import positions_by_namespace
from ltq.state import WorkerInfo

_CALL_TASKS = 200
"""Most tasks of one call: a long script blocks all other clients."""


async def read_workers(links: Links, namespaces: Sequence[str]) -> list[WorkerInfo]:
    """See `Inspector.workers`."""
    seen = await read_seen(links, namespaces)
    held: dict[str, list[HeldTask]] = {}

    async def read_held(link: Link, namespace: str) -> None:
        for queue in await link.call("ZRANGE", link.keys.lease_ends(namespace), 0, -1):
            await _add_held(link, namespace, queue.decode("utf-8", "replace"), held)

    await read_each(links, namespaces, read_held)
    return list_workers(seen, held, await server_time(links.any))


async def read_served(links: Links, lanes: Sequence[str]) -> list[float | None]:
    """See `Presence.served`."""
    ages: dict[str, float | None] = {}
    positions = positions_by_namespace(lanes, str)

    async def read(link: Link, namespace: str) -> None:
        some = [lanes[i] for i in positions[namespace]]
        call = calls.ServedCall(prefix=link.keys.prefix(namespace), lanes=some)
        ages.update(zip(some, await link.evaluate(call), strict=True))

    await in_each(links, positions, read)
    return [ages[lane] for lane in lanes]


async def _add_held(
    link: Link, namespace: str, queue: str, held: dict[str, list[HeldTask]]
) -> None:
    """Add the tasks of a queue that have a lease, by the name of their consumer."""
    found = await link.call("ZRANGE", link.keys.leases(namespace, queue), 0, -1, "WITHSCORES")
    ids = [member.decode("utf-8", "replace") for member in found[::2]]
    ends = [float(score) / 1000 for score in found[1::2]]
    for start in range(0, len(ids), _CALL_TASKS):
        some = ids[start : start + _CALL_TASKS]
        call = calls.HoldersCall(prefix=link.keys.prefix(namespace), ids=some)
        for position, holder in enumerate(await link.evaluate(call), start):
            if holder is not None:
                worker, task_name, since = holder
                task = HeldTask(ids[position], task_name, since, ends[position])
                held.setdefault(worker, []).append(task)
