"""Tasks that have lost their place, found and put back, a few at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from ltq._names import new_id
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link, RefusedError
from ltq.errors import BrokerError
from ltq.options import Priority

_STEP = 200
"""Keys, or ids, looked at in one call: a long one would make everybody else wait."""

_SHARE = 20.0
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
        await register(link, namespace)
        count, doubtful = await _look(link, namespace, lease, _SHARE if every else 1.0)
        repaired += count
        if doubtful or not every:
            repaired += await _search(link, namespace, lease)
    return repaired


async def _look(link: Link, namespace: str, lease: float, share: float) -> tuple[int, int]:
    """Look at every task: what was put back, and whether ready lists should be read."""
    repaired = doubtful = 0
    prefix = _keys.prefix(namespace)
    async for ids in _tasks(link, namespace, share):
        counts = await link.run("repair", prefix, lease, "", *ids)
        repaired += counts[0]
        doubtful += counts[1]
    return repaired, doubtful


async def _search(link: Link, namespace: str, lease: float) -> int:
    """Put back what should be in a ready list and is not."""
    seconds, micros = await link.call("TIME")
    before = f"{int(seconds)}.{int(micros):06d}"
    ready = await _ready(link, namespace)
    repaired = 0
    async for ids in _tasks(link, namespace, 1.0):
        absent = [task_id for task_id in ids if task_id not in ready]
        if absent:
            prefix = _keys.prefix(namespace)
            repaired += (await link.run("repair", prefix, lease, before, *absent))[0]
    return repaired


async def _tasks(link: Link, namespace: str, share: float) -> AsyncIterator[list[bytes]]:
    """The ids of all tasks there are; others are served between what is done with some."""
    start, cursor = _keys.task(namespace, ""), b"0"
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        cursor, keys = await link.call("SCAN", cursor, "MATCH", f"{start}*", "COUNT", _STEP)
        if keys:
            yield [key[len(start) :] for key in keys]
        if cursor == b"0":
            return
        await asyncio.sleep(share * (loop.time() - began))


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
    count = await link.run("copy", _keys.prefix(namespace), member, unique, _COPY_TTL)
    while ids := await link.call("LRANGE", copy, len(found), len(found) + _STEP - 1):
        found += ids
    await link.call("DEL", copy)
    if len(found) != count:  # else what is there would be put there once more
        raise BrokerError(f"the copy of {member} was gone before it was read")
    return set(found)


async def register(link: Link, namespace: str) -> None:
    """Make a namespace known to tools."""
    try:
        await link.call("SADD", _keys.NAMESPACES, namespace)
    except RefusedError:  # what else is there is nobody's, as in `lua/_sure.lua`
        await link.call("DEL", _keys.NAMESPACES)
        await link.call("SADD", _keys.NAMESPACES, namespace)
