"""Adding and reading the items of one namespace's streams: what comes during a call shares the
next one, as many streams often go on at the same time."""

from collections.abc import Sequence
from typing import NamedTuple

from ltq._aio.batcher import Batcher
from ltq.brokers.redis._operations.chunks import chunks, read_some
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError, is_lasting
from ltq.message import Lease
from ltq.state import Items

_CALL_STREAMS = 100
"""Most streams of one call: a long script blocks all other clients."""

_ITEM_BYTES = 100
"""Bytes for which an item counts beside its own: many small ones make a long script, too."""


class Appended(NamedTuple):
    """Items for the stream of one task: see `Settler.append`."""

    lease: Lease
    first: int
    items: Sequence[bytes]
    most: int


class Part(NamedTuple):
    """A part of the stream of one task: see `Watcher.items`."""

    task_id: str
    attempt: int
    after: int
    limit: int


class ItemCalls:
    """Adds and reads the items of one namespace's streams, in one event loop."""

    def __init__(self, namespace: str, link: Link) -> None:
        self._link = link
        self._prefix = link.keys.prefix(namespace)
        appends: Batcher[Appended, bool | None]
        appends = Batcher(self._append_all, _CALL_STREAMS, is_lasting, name="ltq-redis-append")
        self._appends = appends
        self._reads = Batcher(self._read_all, _CALL_STREAMS, is_lasting, name="ltq-redis-items")

    async def append(self, one: Appended) -> bool:
        """See `Settler.append`."""
        answer = await self._appends.call(one)
        return (await self._append([one]))[0] if answer is None else answer

    async def read(self, part: Part) -> Items | None:
        """See `Watcher.items`."""
        return await self._reads.call(part)

    async def _append_all(self, some: Sequence[Appended]) -> list[bool | None]:
        """The answer is None for each stream of a call that was refused, perhaps because of one."""
        if len(some) == 1:
            return [*await self._append(some)]
        answers: list[bool | None] = []
        for _, chunk in chunks(some, _queue_of, _size_of):
            try:
                answers += await self._append([some[i] for i in chunk])
            except RefusedError:
                answers += [None] * len(chunk)
        return answers

    async def _append(self, some: Sequence[Appended]) -> list[bool]:
        words: list[Argument] = []
        for lease, first, items, most in some:
            words += (lease.id, lease.token, first, most, len(items), *items)
        return await self._link.evaluate(calls.AppendCall(prefix=self._prefix, streams=words))

    async def _read_all(self, parts: Sequence[Part]) -> list[Items | None]:
        found: list[Items | None] = []
        while left := parts[len(found) :]:
            words: list[Argument] = [word for part in left for word in part]
            most = self._link.reply_limit.bytes
            call = calls.ItemsCall(prefix=self._prefix, most_bytes=most, parts=words)
            found += await read_some(self._link, call)
        return found


def _queue_of(one: Appended) -> str:
    return one.lease.queue


def _size_of(one: Appended) -> int:
    return sum(map(len, one.items)) + _ITEM_BYTES * len(one.items)
