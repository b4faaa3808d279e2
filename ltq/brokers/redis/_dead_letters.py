"""Dead letters in Redis: read, enqueued again and removed, in batches."""

from collections.abc import Iterable, Sequence

from ltq._names import check_name, namespace_of, new_id
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link
from ltq.brokers.redis._wire import PUBLISHED, dead_letter
from ltq.message import DeadLetter, Published

_READ = 100
"""Letters of one reply: each may be as large as a message."""

_BATCH = 500
"""Letters of one script that writes."""


async def read(link: Link, queue: str, limit: int, offset: int) -> list[DeadLetter]:
    """See `DeadLetters.letters`. What came or went meanwhile shifts nothing."""
    if limit <= 0:
        return []
    namespace, first = namespace_of(queue), max(0, offset)
    key = _keys.dead(namespace, queue)
    replies = await link.call("ZRANGE", key, first, first + limit - 1, "REV")
    ids = [reply.decode("utf-8", "replace") for reply in replies]
    letters = []
    for start in range(0, len(ids), _READ):
        letters += await _read(link, namespace, ids[start : start + _READ])
    return [letter for letter in letters if letter.queue == queue]


async def find(
    link: Link, namespaces: Iterable[str], queue: str | None, task_id: str
) -> DeadLetter | None:
    """The letter of a task, of a queue or (None) of any in these namespaces."""
    for namespace in namespaces:
        for letter in await _read(link, namespace, [task_id]):
            if queue in (None, letter.queue):
                return letter
    return None


async def replay(link: Link, queue: str, ids: Sequence[str]) -> list[Published]:
    """See `DeadLetters.replay`."""
    prefix, call = _prefix(queue), new_id()
    answers: list[Published] = []
    for start in range(0, len(ids), _BATCH):
        chunk = ids[start : start + _BATCH]
        replies = await link.run("replay", prefix, queue, call, *chunk)
        answers += [PUBLISHED[reply] for reply in replies]
    return answers


async def purge(link: Link, queue: str, ids: Sequence[str] | None, older_than: float) -> int:
    """See `DeadLetters.purge`."""
    prefix, removed = _prefix(queue), 0
    if ids is not None:
        for start in range(0, len(ids), _BATCH):
            chunk = ids[start : start + _BATCH]
            removed += (await link.run("purge", prefix, queue, older_than, 0, *chunk))[0]
        return removed
    more = 1
    while more:
        count, more = await link.run("purge", prefix, queue, older_than, _BATCH)
        removed += count
    return removed


def _prefix(queue: str) -> str:
    return _keys.prefix(namespace_of(check_name("queue", queue)))


async def _read(link: Link, namespace: str, ids: Sequence[str]) -> list[DeadLetter]:
    replies = await link.run("dead_letters", _keys.prefix(namespace), *ids)
    letters = (dead_letter(task_id, reply) for task_id, reply in zip(ids, replies, strict=True))
    return [letter for letter in letters if letter is not None]
