"""Tasks that have lost their place, found and put back, a few at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from ltq._names import new_id
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link
from ltq.brokers.redis._operations.registry import add_namespace
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server import server_time
from ltq.errors import BrokerError
from ltq.options import Priority

_CALL_KEYS = 200
"""Keys, or ids, of one call: while a long call runs, everybody else waits."""

_PAUSE_FACTOR = 20.0
"""A call is followed by a pause of so many times its own length, unless somebody waits for it."""

_COPY_TTL = 60
"""Seconds the copy of a list stays, if nobody deletes it."""


async def repair(link: Link, namespaces: Iterable[str], lease: float, every: float) -> int:
    """See `Settler.repair`. Without `every` all ready lists are read, which takes memory."""
    repaired = 0
    for namespace in namespaces:
        if every > 0:
            marker = (_keys.repaired(namespace), "1", "NX", "PX", max(1, int(every * 1000)))
            if await link.call("SET", *marker) is None:
                continue
        await add_namespace(link, namespace)
        count, doubtful = await _look(link, namespace, lease, _PAUSE_FACTOR if every else 1.0)
        repaired += count
        if doubtful or not every:
            repaired += await _search(link, namespace, lease)
    return repaired


async def _look(link: Link, namespace: str, lease: float, pause_factor: float) -> tuple[int, int]:
    """Look at every task: how many were put back, and how many make their ready list doubtful."""
    repaired = doubtful = 0
    prefix = _keys.prefix(namespace)
    async for ids in _tasks(link, namespace, pause_factor):
        counts = await link.evaluate(calls.Repair(prefix=prefix, lease=lease, ids=ids))
        repaired += counts.repaired
        doubtful += counts.doubtful
    return repaired, doubtful


async def _search(link: Link, namespace: str, lease: float) -> int:
    """Put back what should be in a ready list and is not."""
    before = f"{await server_time(link):.6f}"
    ready = await _ready(link, namespace)
    prefix, repaired = _keys.prefix(namespace), 0
    async for ids in _tasks(link, namespace, 1.0):
        absent = [task_id for task_id in ids if task_id not in ready]
        if absent:
            call = calls.Repair(prefix=prefix, lease=lease, before=before, ids=absent)
            repaired += (await link.evaluate(call)).repaired
    return repaired


async def _tasks(link: Link, namespace: str, pause_factor: float) -> AsyncIterator[list[bytes]]:
    """The ids of all tasks, some at a time, with pauses in which others are served."""
    start, cursor = _keys.task(namespace, ""), b"0"
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        cursor, keys = await link.call("SCAN", cursor, "MATCH", f"{start}*", "COUNT", _CALL_KEYS)
        if keys:
            yield [key[len(start) :] for key in keys]
        if cursor == b"0":
            return
        await asyncio.sleep(pause_factor * (loop.time() - began))


async def _ready(link: Link, namespace: str) -> set[bytes]:
    """The ids in all ready lists, each as it is at one moment."""
    found: set[bytes] = set()
    for lane in await link.call("SMEMBERS", _keys.lanes(namespace)):
        for priority in Priority:
            member = f"{priority:d}:{lane.decode('utf-8', 'replace')}"
            found |= await _copied(link, namespace, member)
    return found


async def _copied(link: Link, namespace: str, member: str) -> set[bytes]:
    unique, found = new_id(), list[bytes]()
    copy = _keys.copied(namespace, unique)
    count = await link.evaluate(
        calls.Copy(prefix=_keys.prefix(namespace), member=member, unique=unique, ttl=_COPY_TTL)
    )
    while ids := await link.call("LRANGE", copy, len(found), len(found) + _CALL_KEYS - 1):
        found += ids
    await link.call("DEL", copy)
    if len(found) != count:  # else what is there would be put there once more
        raise BrokerError(f"the copy of {member} was gone before it was read")
    return set(found)
