"""Reading the states of tasks and the counts of queues, and clearing queues."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal

from ltq.broker import minute_of
from ltq.brokers._rules.constants import OVERDUE_AFTER
from ltq.brokers.redis._operations.chunks import by_chunk, chunks, read_some
from ltq.brokers.redis._operations.spread import Namespaces, find_in, in_each, read_each
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.refusals import WrongTypeError
from ltq.names import is_name, namespace_of, queue_of
from ltq.state import Minute, QueueStats, Status, TaskState

STATES_TASKS = 500
"""Most tasks read in one call."""

_STATS_QUEUES = 200
"""Most queues counted in one call: a long script blocks all other clients."""

_HISTORY_MINUTES = 240
"""Most minutes read in one call."""

_FINAL = frozenset(status.value.encode() for status in Status if status.is_final)

_CLEAR_TASKS = 1000
"""Most tasks removed in one call."""


async def read_states(
    link: Link, namespace: str, ids: Sequence[str]
) -> list[TaskState[bytes] | None]:
    """The states of tasks of a namespace, None for an unknown or expired id."""
    states: list[TaskState[bytes] | None] = []
    while len(states) < len(ids):
        states += await read_first_states(link, namespace, ids[len(states) :])
    return states


async def read_first_states(
    link: Link, namespace: str, ids: Sequence[str]
) -> list[TaskState[bytes] | None]:
    """The states of as many of these tasks, from the first on, as one reply should hold."""
    if len(ids) == 1:
        found = await _read_plain(link, namespace, ids[0])
        if found is None or found.status is not Status.DELAYED:
            return [found]
    prefix, chunk = link.keys.prefix(namespace), [*ids[:STATES_TASKS]]
    most = link.reply_limit.bytes
    return await read_some(link, calls.StatesCall(prefix=prefix, most_bytes=most, ids=chunk))


async def _read_plain(link: Link, namespace: str, task_id: str) -> TaskState[bytes] | None:
    """The state of a task, but for the moment when a delayed one is due."""
    call = calls.StateCall(key=link.keys.task(namespace, task_id), task_id=task_id)
    try:
        return await read_some(link, call)
    except WrongTypeError:  # it is no hash
        return None


async def read_body(link: Link, namespace: str, task_id: str) -> bytes | None:
    """See `Inspector.body`."""
    try:
        status, body = await link.call(
            "HMGET", link.keys.task(namespace, task_id), "status", "body"
        )
    except WrongTypeError:  # it is no hash
        return None
    return None if status in _FINAL else body


async def find_state(links: Links, namespaces: Namespaces, task_id: str) -> TaskState[bytes] | None:
    """The state of a task in any of these namespaces; None if there is none.

    Raises `BrokerError` if it may be in one that cannot be reached.
    """

    async def find(link: Link, namespace: str) -> TaskState[bytes] | None:
        (state,) = await read_states(link, namespace, [task_id])
        return state

    return await find_in(links, namespaces, find)


async def read_queues(links: Links, namespaces: Iterable[str]) -> list[str]:
    """See `Inspector.queues`. What others have put there and is no name is left out."""

    async def read_lanes(link: Link, namespace: str) -> list[str]:
        replies = await link.call("SMEMBERS", link.keys.lanes(namespace))
        return [reply.decode("utf-8", "replace") for reply in replies]

    lanes = {lane for some in await read_each(links, namespaces, read_lanes) for lane in some}
    return sorted(filter(is_name, {queue_of(lane) for lane in lanes}))


async def read_stats(links: Links, queues: Sequence[str]) -> list[QueueStats]:
    """See `Inspector.stats`."""
    parts = by_chunk(chunks(queues, str, limit=_STATS_QUEUES))
    stats: dict[str, QueueStats] = {}

    async def read(link: Link, namespace: str) -> None:
        prefix = link.keys.prefix(namespace)
        for positions in parts[namespace]:
            some = [queues[i] for i in positions]
            call = calls.StatsCall(prefix=prefix, overdue_after=OVERDUE_AFTER, queues=some)
            stats.update((one.queue, one) for one in await link.evaluate(call))

    if links.is_split:
        await in_each(links, parts, read)
    else:
        await asyncio.gather(*(read(links.any, namespace) for namespace in parts))
    return [stats[queue] for queue in queues]


async def read_history(link: Link, queue: str, minutes: int) -> list[Minute]:
    """See `Historian.history`."""
    prefix = link.keys.prefix(namespace_of(queue))
    found: list[Minute] = []
    last: int | Literal[""] = ""
    while (left := minutes - len(found)) > 0:  # from the present minute back
        count = min(left, _HISTORY_MINUTES)
        call = calls.HistoryCall(prefix=prefix, queue=queue, last=last, count=count)
        reply = await link.evaluate(call)
        numbers = range(reply.last - count + 1, reply.last + 1)
        found[:0] = map(minute_of, numbers, reply.figures)
        last = reply.last - count
    return found


async def clear(link: Link, queue: str) -> int:
    """See `Inspector.clear`."""
    prefix = link.keys.prefix(namespace_of(queue))
    call = calls.ClearCall(prefix=prefix, queue=queue, limit=_CLEAR_TASKS)
    cleared, may_be_more = 0, True
    while may_be_more:
        removed, may_be_more = await link.evaluate(call)
        cleared += removed
    return cleared
