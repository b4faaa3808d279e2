"""LTQ's keys on a server, read a few at a time. Nothing is changed.

`lua/README.md` says what each kind of key holds and how long it stays.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link, RefusedError
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.calls import KeySeen
from ltq.state import Status

_CALL_KEYS = 500
"""Keys looked at in one call: while a long call runs, everybody else waits."""

_CALL_IDS = 1000
"""Ids of a ready list read at once."""

_MAX_DOUBTFUL = 200
"""Most tasks of a namespace that are looked for in their lists one by one."""

_MAX_NAMED = 5
"""Most odd keys that are named."""

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
    "lease_ends": Kind("zset", "stays"),
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

_FINAL = {status.value for status in Status if status.is_final}


@dataclass(slots=True)
class Odd:
    """Keys that are not as they should be: how many, and some of them."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, key: bytes) -> None:
        """One more."""
        self.count += 1
        if len(self.some) < _MAX_NAMED:
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
    """What has to be compared in one namespace once all keys were seen."""

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
        cursor, keys = await link.call("SCAN", cursor, "MATCH", "ltq:*", "COUNT", _CALL_KEYS)
        passed += _CALL_KEYS
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
    for start in range(0, len(own), _CALL_KEYS):
        chunk = own[start : start + _CALL_KEYS]
        keys = await link.evaluate(calls.Examine(prefix=prefix, names=chunk))
        for suffix, key in zip(chunk, keys, strict=True):
            if key.type == "none":
                continue  # gone meanwhile
            _judge(prefix.encode() + suffix, suffix, key, found)
            if not key.has_place:
                _displace(found, namespace, 1)
            if suffix.startswith(b"ready:"):
                space.lists.append(suffix)
            elif key.status == Status.PENDING:
                space.pending.add(suffix)


def _judge(name: bytes, suffix: bytes, key: KeySeen, found: Inventory) -> None:
    kind = KINDS[suffix.partition(b":")[0].decode()]
    is_final = kind.life == "ends when final" and key.status in _FINAL
    if key.type != kind.type:
        found.mistyped.add(name)
    elif (kind.life == "ends" or is_final) and key.ttl == -1:
        found.endless.add(name)


def _displace(found: Inventory, namespace: bytes, count: int) -> None:
    name = namespace.decode("utf-8", "backslashreplace")
    found.displaced[name] = found.displaced.get(name, 0) + count


async def _compare(link: Link, namespace: bytes, space: _Space, found: Inventory) -> None:
    """Count pending tasks that are in no list; those moved meanwhile are looked at once more."""
    prefix = _prefix(namespace)
    for suffix in space.lists:
        async for ids in _pages(link, prefix.encode() + suffix):
            space.pending.difference_update(b"task:" + task_id for task_id in ids)
    doubtful = sorted(space.pending)[:_MAX_DOUBTFUL]
    if doubtful:
        call = calls.Examine(prefix=prefix, thorough="1", names=doubtful)
        keys = await link.evaluate(call)
        lost = sum(key.status == Status.PENDING and not key.has_place for key in keys)
        if lost:
            _displace(found, namespace, lost)


async def _pages(link: Link, key: bytes) -> AsyncIterator[list[bytes]]:
    start = 0
    while True:
        try:
            ids: list[bytes] = await link.call("LRANGE", key, start, start + _CALL_IDS - 1)
        except RefusedError:  # of a wrong type
            return
        if not ids:
            return
        yield ids
        start += _CALL_IDS


def _prefix(namespace: bytes) -> str:
    return _keys.prefix(namespace.decode("utf-8", "replace"))
