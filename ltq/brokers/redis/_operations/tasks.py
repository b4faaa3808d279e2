"""Reading the states of tasks and the counts of queues, and clearing queues."""

from collections.abc import Iterable, Sequence

from ltq.brokers._rules.constants import OVERDUE_AFTER
from ltq.brokers.redis._operations.chunks import by_namespace, read_some
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.link import Link, WrongTypeError
from ltq.names import check_name, namespace_of, queue_of
from ltq.state import QueueStats, TaskState

STATES_TASKS = 500
"""Most tasks read in one call."""

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
    prefix, chunk = keys.prefix(namespace), [*ids[:STATES_TASKS]]
    most = link.reply_limit.bytes
    return await read_some(link, calls.StatesCall(prefix=prefix, most_bytes=most, ids=chunk))


async def read_body(link: Link, namespace: str, task_id: str) -> bytes | None:
    """See `Inspector.body`."""
    try:
        body: bytes | None = await link.call("HGET", keys.task(namespace, task_id), "body")
    except WrongTypeError:  # it is no hash
        return None
    return body


async def find_state(
    link: Link, namespaces: Iterable[str], task_id: str
) -> TaskState[bytes] | None:
    """The state of a task in any of these namespaces; None if there is none."""
    for namespace in namespaces:
        (state,) = await read_states(link, namespace, [task_id])
        if state is not None:
            return state
    return None


async def read_queues(link: Link, namespaces: Iterable[str]) -> list[str]:
    """See `Inspector.queues`."""
    lanes: set[str] = set()
    for namespace in namespaces:
        replies = await link.call("SMEMBERS", keys.lanes(namespace))
        lanes |= {reply.decode("utf-8", "replace") for reply in replies}
    return sorted({queue_of(lane) for lane in lanes})


async def read_stats(link: Link, queues: Sequence[str]) -> list[QueueStats]:
    """See `Inspector.stats`."""
    stats: dict[str, QueueStats] = {}
    for namespace, positions in by_namespace(queues, str).items():
        call = calls.StatsCall(
            prefix=keys.prefix(namespace),
            overdue_after=OVERDUE_AFTER,
            queues=[queues[i] for i in positions],
        )
        stats |= {one.queue: one for one in await link.evaluate(call)}
    return [stats[queue] for queue in queues]


async def clear(link: Link, queue: str) -> int:
    """See `Inspector.clear`."""
    prefix = keys.prefix(namespace_of(check_name("queue", queue)))
    call = calls.ClearCall(prefix=prefix, queue=queue, limit=_CLEAR_TASKS)
    cleared = 0
    while removed := await link.evaluate(call):
        cleared += removed
    return cleared
