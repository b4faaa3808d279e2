"""Finding tasks that have lost their place and putting them back, a few at a time."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.spread import in_each
from ltq.brokers.redis._operations.sweep import sweep
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.info import server_time
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError
from ltq.names import new_id
from ltq.options import Priority

_CALL_KEYS = 200
"""Keys or ids in one call: a long call blocks all other clients."""

_PAUSE_FACTOR = 20.0
"""The pause after a call, as a multiple of its length, in a repair that nobody waits for."""

_COPY_TTL = 60
"""Seconds after which the copy of a list is deleted, if that has not happened before."""


async def repair(
    links: Links, registry: Registry, namespaces: Iterable[str], lease: float, every: float
) -> int:
    """See `Settler.repair`. Without `every` all ready lists are read into memory."""

    async def repair(link: Link, namespace: str) -> int:
        if every > 0:
            marker = (link.keys.repaired(namespace), "1", "NX", "PX", max(1, int(every * 1000)))
            if await link.call("SET", *marker) is None:
                return 0
        await registry.write(namespace)
        count, doubtful = await _check_tasks(
            link, namespace, lease, _PAUSE_FACTOR if every else 1.0
        )
        if doubtful or not every:
            count += await _restore_ready(link, namespace, lease)
        return count

    return sum(await in_each(links, namespaces, repair))


async def _check_tasks(
    link: Link, namespace: str, lease: float, pause_factor: float
) -> tuple[int, int]:
    """Requeue the tasks that plainly have no place.

    Returns how many those were, and how many pending tasks may be missing in their ready list.
    """
    repaired = doubtful = 0
    prefix = link.keys.prefix(namespace)
    async for ids in _tasks(link, namespace, pause_factor):
        counts = await link.evaluate(calls.RepairCall(prefix=prefix, lease=lease, ids=ids))
        repaired += counts.repaired
        doubtful += counts.doubtful
    return repaired, doubtful


async def _restore_ready(link: Link, namespace: str, lease: float) -> int:
    """Requeue the pending tasks that are in no ready list."""
    await sweep(link, namespace, math.inf)  # otherwise due tasks waited before they were in a list
    before = f"{await server_time(link):.6f}"
    ready = await _read_ready(link, namespace)
    prefix, repaired = link.keys.prefix(namespace), 0
    async for ids in _tasks(link, namespace, 1.0):
        absent = [task_id for task_id in ids if task_id not in ready]
        if absent:
            call = calls.RepairCall(prefix=prefix, lease=lease, before=before, ids=absent)
            repaired += (await link.evaluate(call)).repaired
    return repaired


async def _tasks(link: Link, namespace: str, pause_factor: float) -> AsyncIterator[list[bytes]]:
    """The ids of all tasks, a few at a time, with pauses in which other clients are served."""
    start, cursor = link.keys.task(namespace, ""), b"0"
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        cursor, found = await link.call("SCAN", cursor, "MATCH", f"{start}*", "COUNT", _CALL_KEYS)
        if found:
            yield [key[len(start) :] for key in found]
        if cursor == b"0":
            return
        await asyncio.sleep(pause_factor * (loop.time() - began))


async def _read_ready(link: Link, namespace: str) -> set[bytes]:
    """The ids that wait in all ready lists, each list as it was at one moment."""
    found: set[bytes] = set()
    for lane in await _lanes(link, namespace):
        for priority in Priority:
            found |= await _read_copy(link, namespace, f"{priority:d}:{lane}")
    return found


async def _lanes(link: Link, namespace: str) -> list[str]:
    """All lanes that may have ready tasks."""
    queues = [
        name.decode("utf-8", "replace")
        for name in await link.call("SMEMBERS", link.keys.lanes(namespace))
    ]
    lanes = list(queues)
    for queue in queues:
        own = await link.call("ZRANGE", link.keys.queue_lanes(namespace, queue), 0, -1)
        lanes += [lane.decode("utf-8", "replace") for lane in own]
    return lanes


async def _read_copy(link: Link, namespace: str, member: str) -> set[bytes]:
    """The ids that wait in one ready list (`<priority>:<lane>`), read from a copy.

    An id does not wait there if all of its entries are to be skipped.
    """
    unique, entries, skips = new_id(), list[bytes](), dict[bytes, int]()
    keys = link.keys
    copy, copied_skips = keys.copied(namespace, unique), keys.copied_skips(namespace, unique)
    copied = await link.evaluate(
        calls.CopyCall(prefix=keys.prefix(namespace), member=member, unique=unique, ttl=_COPY_TTL)
    )
    while ids := await link.call("LRANGE", copy, len(entries), len(entries) + _CALL_KEYS - 1):
        entries += ids
        if copied.has_skips:
            counts = await link.call("HMGET", copied_skips, *ids)
            pairs = zip(ids, counts, strict=True)
            skips |= {task_id: int(count) for task_id, count in pairs if (count or b"").isdigit()}
    await link.call("DEL", copy, copied_skips)
    if len(entries) != copied.entries:  # a missing id would be put into the list a second time
        raise BrokerError(f"the copy of the ready list {member} was deleted before it was read")
    found = Counter(entries) if skips else dict.fromkeys(entries, 1)
    return {task_id for task_id, count in found.items() if count > skips.get(task_id, 0)}
