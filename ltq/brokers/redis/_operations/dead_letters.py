"""Reading, replaying and purging dead letters in Redis, in batches."""

from collections.abc import Iterator, Sequence

from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._operations.spread import Namespaces, find_in
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.message import DeadLetter, Published
from ltq.names import namespace_of, new_id

_CALL_READS = 100
"""Most dead letters in one reply."""

_CALL_WRITES = 500
"""Most dead letters of one call that writes."""


async def read(link: Link, queue: str, limit: int, offset: int) -> list[DeadLetter]:
    """See `DeadLetters.dead_letters`. Letters that come or go meanwhile do not shift the others."""
    if limit <= 0:
        return []
    namespace, first = namespace_of(queue), max(0, offset)
    key = link.keys.dead(namespace, queue)
    replies = await link.call("ZRANGE", key, first, first + limit - 1, "REV")
    ids = [reply.decode("utf-8", "replace") for reply in replies]
    letters = await _read(link, namespace, ids)
    return [letter for letter in letters if letter.queue == queue]


async def find(
    links: Links, namespaces: Namespaces, queue: str | None, task_id: str
) -> DeadLetter | None:
    """The dead letter of a task in a queue, or in any queue of these namespaces if that is None.

    Raises `BrokerError` if it may be in one that cannot be reached.
    """

    async def find_one(link: Link, namespace: str) -> DeadLetter | None:
        for letter in await _read(link, namespace, [task_id]):
            if queue in (None, letter.queue):
                return letter
        return None

    return await find_in(links, namespaces, find_one)


async def replay(link: Link, queue: str, ids: Sequence[str]) -> list[Published]:
    """See `DeadLetters.replay`."""
    prefix, call_id = _prefix(link, queue), new_id()
    answers: list[Published] = []
    for chunk in _chunks(ids, _CALL_WRITES):
        call = calls.ReplayCall(prefix=prefix, queue=queue, call=call_id, ids=chunk)
        answers += await link.evaluate(call)
    return answers


async def purge(link: Link, queue: str, ids: Sequence[str] | None, older_than: float) -> int:
    """See `DeadLetters.purge`."""
    if ids is None:
        return await _purge_all(link, queue, older_than)
    prefix, removed = _prefix(link, queue), 0
    for chunk in _chunks(ids, _CALL_WRITES):
        call = calls.PurgeCall(prefix=prefix, queue=queue, older_than=older_than, ids=chunk)
        removed += (await link.evaluate(call)).removed
    return removed


async def _purge_all(link: Link, queue: str, older_than: float) -> int:
    call = calls.PurgeCall(
        prefix=_prefix(link, queue), queue=queue, older_than=older_than, limit=_CALL_WRITES, ids=[]
    )
    purged = await link.evaluate(call)
    removed = purged.removed
    while purged.may_be_more:
        purged = await link.evaluate(call)
        removed += purged.removed
    return removed


def _prefix(link: Link, queue: str) -> str:
    return link.keys.prefix(namespace_of(queue))


async def _read(link: Link, namespace: str, ids: list[str]) -> list[DeadLetter]:
    prefix = link.keys.prefix(namespace)
    letters: list[DeadLetter | None] = []
    while len(letters) < len(ids):
        chunk, most = ids[len(letters) :][:_CALL_READS], link.reply_limit.bytes
        call = calls.DeadLettersCall(prefix=prefix, most_bytes=most, ids=chunk)
        letters += await read_some(link, call)
    return [letter for letter in letters if letter is not None]


def _chunks(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), size):
        yield [*ids[start : start + size]]
