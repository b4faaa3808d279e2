"""Reading from Redis which workers hold tasks."""

from collections.abc import Iterable

from ltq.brokers.redis._operations.tasks import read_queues, read_states, read_stats
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.link import Link
from ltq.names import namespace_of
from ltq.state import TaskState, WorkerInfo


async def read_workers(link: Link, namespaces: Iterable[str]) -> list[WorkerInfo]:
    """See `Inspector.workers`."""
    states: list[TaskState[bytes]] = []
    for stats in await read_stats(link, await read_queues(link, namespaces)):
        if stats.working:
            states += await _working(link, stats.queue)
    return _by_holder(states)


async def _working(link: Link, queue: str) -> list[TaskState[bytes]]:
    """The states of a queue's tasks that have a lease."""
    namespace = namespace_of(queue)
    members = await link.call("ZRANGE", keys.leases(namespace, queue), 0, -1)
    ids = [member.decode("utf-8", "replace") for member in members]
    states = await read_states(link, namespace, ids)
    return [state for state in states if state is not None]


def _by_holder(states: Iterable[TaskState[bytes]]) -> list[WorkerInfo]:
    """The workers that hold these tasks, sorted by name."""
    held: dict[str, list[TaskState[bytes]]] = {}
    for state in states:
        if state.worker is not None and not state.status.is_final:
            held.setdefault(state.worker, []).append(state)
    return [
        WorkerInfo(
            name=name,
            running=tuple(sorted(state.id for state in own)),
            task_names=tuple(sorted({state.task_name for state in own})),
            since=min((s.last_dequeue_time for s in own if s.last_dequeue_time), default=None),
        )
        for name, own in sorted(held.items())
    ]
