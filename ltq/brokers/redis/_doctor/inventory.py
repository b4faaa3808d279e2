"""LTQ's keys on a server, read a few at a time. Nothing is changed.

`lua/README.md` says what each kind of key holds and how long it stays.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link, RefusedError

_STEP = 500
"""Keys looked at in one call: a long one would make everybody else wait."""

_PAGE = 1000
"""Ids of a ready list read at once."""

_DOUBTS = 200
"""Most tasks of a namespace that are looked for in their lists one by one."""

_SHOWN = 5

_KEY = re.compile(rb"ltq:\{([^}]*)\}:(([a-z_]+)(?::.*)?)", re.DOTALL)

Life = Literal["stays", "ends", "ends when final"]


class Kind(NamedTuple):
    """What a kind of key is."""

    type: str
    life: Life


KINDS = {
    "task": Kind("hash", "ends when final"),
    "ready": Kind("list", "stays"),
    "active": Kind("zset", "stays"),
    "delayed": Kind("zset", "stays"),
    "due": Kind("zset", "stays"),
    "leases": Kind("zset", "stays"),
    "expiry": Kind("zset", "stays"),
    "dead": Kind("zset", "ends"),
    "dead_letter": Kind("hash", "ends"),
    "throughput": Kind("hash", "ends"),
    "ended": Kind("zset", "ends"),
    "wake": Kind("zset", "stays"),
    "lanes": Kind("set", "stays"),
    "claim": Kind("string", "ends"),
    "running": Kind("set", "stays"),
    "unique": Kind("string", "ends"),
    "rate": Kind("string", "ends"),
    "repaired": Kind("string", "ends"),
    "copied": Kind("list", "ends"),
    "slot": Kind("hash", "ends"),
}
"""Those that begin with `ltq:{namespace}:`, by the word after it."""

_FINAL = {b"completed", b"failed", b"rejected", b"cancelled"}


@dataclass(slots=True)
class Odd:
    """Keys that are not as they should be: how many, and some of them."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, key: bytes) -> None:
        """One more."""
        self.count += 1
        if len(self.some) < _SHOWN:
            self.some.append(key.decode("utf-8", "backslashreplace"))


@dataclass(slots=True)
class Inventory:
    """What was found."""

    seen: int = 0
    """How many of LTQ's keys were looked at."""
    is_complete: bool = True
    """Whether these were all."""
    strays: Odd = field(default_factory=Odd)
    """Of a name that LTQ does not use."""
    mistyped: Odd = field(default_factory=Odd)
    """Of another type than their name says."""
    endless: Odd = field(default_factory=Odd)
    """Without a TTL that they should have."""
    displaced: dict[str, int] = field(default_factory=dict)
    """Tasks without a place, by namespace."""


class _Space:
    """What is to be compared of one namespace when all keys were seen."""

    def __init__(self) -> None:
        self.pending: set[bytes] = set()
        self.lists: list[bytes] = []


async def take_inventory(
    link: Link, limit: int, on_scan: Callable[[int], object] | None = None
) -> Inventory:
    """Look at the keys that begin with `ltq:`, among the first `limit` of all keys or so.

    `on_scan` is called now and then with how many of all keys were passed.
    """
    found, spaces = Inventory(), dict[bytes, _Space]()
    passed, cursor = 0, b"0"
    while True:
        cursor, keys = await link.call("SCAN", cursor, "MATCH", "ltq:*", "COUNT", _STEP)
        passed += _STEP
        if on_scan is not None:
            on_scan(passed)
        async for namespace, own in _by_namespace(link, keys, found):
            await _look(link, namespace, own, found, spaces.setdefault(namespace, _Space()))
        if cursor == b"0":
            break
        if passed >= limit:
            found.is_complete = False
            break
    if found.is_complete:
        for namespace, space in spaces.items():
            await _compare(link, namespace, space, found)
    return found


async def _by_namespace(
    link: Link, keys: Sequence[bytes], found: Inventory
) -> AsyncIterator[tuple[bytes, list[bytes]]]:
    """The keys of each namespace without its prefix; the others are judged here."""
    spaces: dict[bytes, list[bytes]] = {}
    for key in keys:
        found.seen += 1
        match = _KEY.fullmatch(key)
        if match is not None and match[3].decode() in KINDS:
            spaces.setdefault(match[1], []).append(match[2])
        elif key == _keys.NAMESPACES.encode():
            if await link.call("TYPE", key) != b"set":
                found.mistyped.add(key)
        elif not key.startswith(_keys.probe("").encode()):
            found.strays.add(key)
    for namespace, own in spaces.items():
        yield namespace, own


async def _look(
    link: Link, namespace: bytes, own: list[bytes], found: Inventory, space: _Space
) -> None:
    prefix = _prefix(namespace)
    for start in range(0, len(own), _STEP):
        chunk = own[start : start + _STEP]
        replies = await link.run("examine", prefix, "", *chunk)
        for suffix, (kind, ttl, status, placed) in zip(chunk, replies, strict=True):
            if kind == b"none":
                continue  # gone meanwhile
            _judge(prefix.encode() + suffix, suffix, kind, _should_end(suffix, status), ttl, found)
            if not placed:
                _displace(found, namespace, 1)
            if suffix.startswith(b"ready:"):
                space.lists.append(suffix)
            elif status == b"pending":
                space.pending.add(suffix)


def _should_end(suffix: bytes, status: bytes) -> bool:
    life = KINDS[suffix.partition(b":")[0].decode()].life
    return life == "ends" or (life == "ends when final" and status in _FINAL)


def _judge(
    key: bytes, suffix: bytes, kind: bytes, should_end: bool, ttl: int, found: Inventory
) -> None:
    if kind.decode() != KINDS[suffix.partition(b":")[0].decode()].type:
        found.mistyped.add(key)
    elif should_end and ttl == -1:
        found.endless.add(key)


def _displace(found: Inventory, namespace: bytes, count: int) -> None:
    name = namespace.decode("utf-8", "backslashreplace")
    found.displaced[name] = found.displaced.get(name, 0) + count


async def _compare(link: Link, namespace: bytes, space: _Space, found: Inventory) -> None:
    """Look for pending tasks that are in no list; what is moved meanwhile is looked at again."""
    prefix = _prefix(namespace)
    for suffix in space.lists:
        async for ids in _pages(link, prefix.encode() + suffix):
            space.pending.difference_update(b"task:" + task_id for task_id in ids)
    doubtful = sorted(space.pending)[:_DOUBTS]
    if doubtful:
        replies = await link.run("examine", prefix, "1", *doubtful)
        lost = sum(status == b"pending" and not placed for _, _, status, placed in replies)
        if lost:
            _displace(found, namespace, lost)


async def _pages(link: Link, key: bytes) -> AsyncIterator[list[bytes]]:
    start = 0
    while True:
        try:
            ids: list[bytes] = await link.call("LRANGE", key, start, start + _PAGE - 1)
        except RefusedError:  # of a wrong type
            return
        if not ids:
            return
        yield ids
        start += _PAGE


def _prefix(namespace: bytes) -> str:
    return _keys.prefix(namespace.decode("utf-8", "replace"))
