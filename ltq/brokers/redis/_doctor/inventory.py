"""LTQ's keys on a server, read a few at a time. Nothing is changed.

`lua/README.md` says what each kind of key holds and how long it stays.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.calls import KeySeen
from ltq.brokers.redis._server.keys import Keys
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.state import Status

_CALL_KEYS = 500
"""Keys read in one call: a long call blocks all other clients."""

_CALL_IDS = 1000
"""Ids of a ready list that are read in one call."""

_MAX_DOUBTFUL = 200
"""Most tasks of a namespace that are searched for in their lists one by one."""

_MAX_NAMED = 5
"""Most odd keys that are named."""

_KEY = re.compile(rb"\{([^}]*)\}:(([a-z_]+)(?::.*)?)", re.DOTALL)
"""A key of a namespace, behind the root and a colon."""

_OF_OTHERS = re.compile(rb"[A-Za-z0-9_.:-]+:(\{.*|namespaces|schedules)", re.DOTALL)
"""The same of a broker whose prefix begins with this one's and a colon."""

Life = Literal["stays", "ends", "ends when final"]


class Kind(NamedTuple):
    """What a kind of key is."""

    type: str
    life: Life


KINDS = {
    "task": Kind("hash", "ends when final"),
    "items": Kind("list", "ends"),
    "ready": Kind("list", "stays"),
    "skipped": Kind("hash", "stays"),
    "active": Kind("zset", "stays"),
    "delayed": Kind("zset", "stays"),
    "due": Kind("zset", "stays"),
    "leases": Kind("zset", "stays"),
    "lease_ends": Kind("zset", "stays"),
    "final": Kind("list", "ends"),
    "dead": Kind("zset", "ends"),
    "dead_letter": Kind("hash", "ends"),
    "throughput": Kind("hash", "ends"),
    "history": Kind("hash", "ends"),
    "ended": Kind("zset", "ends"),
    "endings": Kind("hash", "stays"),
    "slots": Kind("hash", "stays"),
    "wake": Kind("zset", "stays"),
    "lanes": Kind("set", "stays"),
    "paused": Kind("set", "stays"),
    "queue_lanes": Kind("zset", "stays"),
    "served": Kind("zset", "stays"),
    "workers": Kind("zset", "stays"),
    "worker": Kind("string", "ends"),
    "claim": Kind("string", "ends"),
    "running": Kind("set", "stays"),
    "unique": Kind("string", "ends"),
    "rate": Kind("string", "ends"),
    "repaired": Kind("string", "ends"),
    "step": Kind("string", "ends"),
    "copied": Kind("list", "ends"),
    "copied_skips": Kind("hash", "ends"),
    "slot": Kind("hash", "ends when final"),
    "schedules": Kind("zset", "stays"),
    "removed_schedules": Kind("zset", "stays"),
    "scheduler": Kind("string", "ends"),
    "probe": Kind("hash", "ends"),
    "replicated": Kind("string", "ends"),
}
"""The kinds of keys that begin with `ltq:{namespace}:`, by the word that follows."""

_PASSING = "probe"
"""The kind of those that are gone soon, and may be of any type."""

_FINAL = {status.value for status in Status if status.is_final}


@dataclass(slots=True)
class OddKeys:
    """Keys that are not as they should be: how many, and the names of a few."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, key: bytes) -> None:
        """Count one more key."""
        self.count += 1
        if len(self.examples) < _MAX_NAMED:
            self.examples.append(key.decode("utf-8", "backslashreplace"))


@dataclass(slots=True)
class Inventory:
    """LTQ's keys on a server, and what is wrong with them."""

    root: str = "ltq"
    """What they begin with."""
    seen: int = 0
    """How many of LTQ's keys were read."""
    is_complete: bool = True
    """Whether all keys were read."""
    strays: OddKeys = field(default_factory=OddKeys)
    """Keys with a name that LTQ does not use."""
    mistyped: OddKeys = field(default_factory=OddKeys)
    """Keys of another type than their name says."""
    endless: OddKeys = field(default_factory=OddKeys)
    """Keys without the TTL they should have."""
    displaced: dict[str, int] = field(default_factory=dict)
    """Tasks without a place, by namespace."""


class _Waiting:
    """The pending tasks and the ready lists of one namespace: each task should be in a list."""

    def __init__(self) -> None:
        self.tasks: set[bytes] = set()
        self.lists: list[bytes] = []


async def take_inventory(
    links: Sequence[Link], limit: int, on_scan: Callable[[int], object] | None = None
) -> Inventory:
    """Read the keys that begin with the root of LTQ's, among about the first `limit` of all keys.

    In a cluster there is a link for each node. `on_scan` is called from time to time with the
    number of keys that were scanned.
    """
    found, scanned = Inventory(links[0].keys.root), 0
    for link in links:
        scanned = await _scan(link, found, scanned, limit, on_scan)
    return found


async def _scan(
    link: Link,
    found: Inventory,
    scanned: int,
    limit: int,
    on_scan: Callable[[int], object] | None,
) -> int:
    """Add the keys of a server to what was found; return how many were scanned by now."""
    pattern, waiting = f"{found.root}:*", dict[bytes, _Waiting]()
    is_complete, cursor = True, b"0"
    while True:
        cursor, found_keys = await link.call("SCAN", cursor, "MATCH", pattern, "COUNT", _CALL_KEYS)
        scanned += _CALL_KEYS
        if on_scan is not None:
            on_scan(scanned)
        async for namespace, own in _by_namespace(link, found_keys, found):
            of_namespace = waiting.setdefault(namespace, _Waiting())
            await _check_keys(link, namespace, own, found, of_namespace)
        if cursor == b"0":
            break
        if scanned >= limit:
            found.is_complete = is_complete = False
            break
    if is_complete:
        for namespace, of_namespace in waiting.items():
            await _find_displaced(link, namespace, of_namespace, found)
    return scanned


async def _by_namespace(
    link: Link, scanned: Sequence[bytes], found: Inventory
) -> AsyncIterator[tuple[bytes, list[bytes]]]:
    """The keys of each namespace, without its prefix. Keys of no namespace are checked here."""
    by_namespace: dict[bytes, list[bytes]] = {}
    of_no_namespace = _types_of_no_namespace(link.keys)
    start = len(link.keys.root) + 1
    for key in scanned:
        match = _KEY.fullmatch(key, start)
        kind = match[3].decode() if match is not None else ""
        if _OF_OTHERS.fullmatch(key, start) or kind == _PASSING:
            continue
        found.seen += 1
        if match is not None and kind in KINDS:
            by_namespace.setdefault(match[1], []).append(match[2])
        elif key in of_no_namespace:
            if await link.call("TYPE", key) != of_no_namespace[key]:
                found.mistyped.add(key)
        else:
            found.strays.add(key)
    for namespace, own in by_namespace.items():
        yield namespace, own


async def _check_keys(
    link: Link, namespace: bytes, own: list[bytes], found: Inventory, waiting: _Waiting
) -> None:
    prefix = _prefix(link, namespace)
    for start in range(0, len(own), _CALL_KEYS):
        chunk = own[start : start + _CALL_KEYS]
        examined = await link.evaluate(calls.ExamineCall(prefix=prefix, names=chunk))
        for suffix, key in zip(chunk, examined, strict=True):
            if key.type == "none":
                continue  # deleted meanwhile
            _check_key(prefix.encode() + suffix, suffix, key, found)
            if not key.has_place:
                _count_displaced(found, namespace, 1)
            if suffix.startswith(b"ready:"):
                waiting.lists.append(suffix)
            elif key.status == Status.PENDING:
                waiting.tasks.add(suffix)


def _check_key(name: bytes, suffix: bytes, key: KeySeen, found: Inventory) -> None:
    kind = KINDS[suffix.partition(b":")[0].decode()]
    is_final = kind.life == "ends when final" and key.status in _FINAL
    if key.type != kind.type:
        found.mistyped.add(name)
    elif (kind.life == "ends" or is_final) and key.ttl == -1:
        found.endless.add(name)


def _count_displaced(found: Inventory, namespace: bytes, count: int) -> None:
    name = namespace.decode("utf-8", "backslashreplace")
    found.displaced[name] = found.displaced.get(name, 0) + count


async def _find_displaced(
    link: Link, namespace: bytes, waiting: _Waiting, found: Inventory
) -> None:
    """Count pending tasks that wait in no list. A second look leaves out those that have moved,
    and finds those that wait behind entries of their own that are to be skipped."""
    prefix = _prefix(link, namespace)
    for suffix in waiting.lists:
        skipped = prefix.encode() + suffix.replace(b"ready:", b"skipped:", 1)
        async for ids in _pages(link, prefix.encode() + suffix):
            counts = await _counts(link, skipped, ids)
            plain = (b"task:" + one for one, skips in zip(ids, counts, strict=True) if not skips)
            waiting.tasks.difference_update(plain)
    doubtful = sorted(waiting.tasks)[:_MAX_DOUBTFUL]
    if doubtful:
        call = calls.ExamineCall(prefix=prefix, thorough="1", names=doubtful)
        keys = await link.evaluate(call)
        lost = sum(key.status == Status.PENDING and not key.has_place for key in keys)
        if lost:
            _count_displaced(found, namespace, lost)


async def _pages(link: Link, key: bytes) -> AsyncIterator[list[bytes]]:
    start = 0
    while True:
        try:
            ids: list[bytes] = await link.call("LRANGE", key, start, start + _CALL_IDS - 1)
        except RefusedError:  # the key is not a list
            return
        if not ids:
            return
        yield ids
        start += _CALL_IDS


async def _counts(link: Link, skipped: bytes, ids: list[bytes]) -> list[bytes | None]:
    """How many entries of each id are to be skipped in a list."""
    try:
        counts: list[bytes | None] = await link.call("HMGET", skipped, *ids)
    except RefusedError:  # the key is not a hash
        return [None] * len(ids)
    return counts


def _types_of_no_namespace(keys: Keys) -> dict[bytes, bytes]:
    """The types of the keys of no namespace."""
    return {keys.namespaces.encode(): b"set", keys.schedule_marks.encode(): b"hash"}


def _prefix(link: Link, namespace: bytes) -> str:
    return link.keys.prefix(namespace.decode("utf-8", "replace"))
