"""Ending tasks from outside: one is cancelled, or all that wait in a queue are removed."""

from collections.abc import Sequence

from ltq.broker.selection import Selection
from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.errors import TaskNotFoundError
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


def cancel(places: Places, task_id: str, result_ttl: float, now: float) -> bool:
    """Make a task CANCELLED, wherever it is. Returns False if it was final already.

    Its state stays for the task's own `result_ttl`, or for this one if it has none (in seconds).
    Raises `TaskNotFoundError` for an unknown or expired id.
    """
    record = find(places, task_id, now)
    if record is None:
        raise TaskNotFoundError(task_id)
    if record.status.is_final:
        return False
    if record.status is Status.WORKING:
        places.listener.revoked(record)
    own_ttl = record.envelope.result_ttl
    record.failure = None
    ttl = result_ttl if own_ttl is None else own_ttl
    moves.settle(places, record, Status.CANCELLED, ttl, now)
    return True


def select(places: Places, queue: str, selection: Selection, now: float) -> list[str]:
    """The ids of the tasks of a queue that a selection means."""
    waiting, working = places.queues.waiting(queue), places.queues.working()
    return [one.id for one in (*waiting, *working) if _is_meant(one, queue, selection, now)]


def cancel_some(
    places: Places, queue: str, ids: Sequence[str], selection: Selection, now: float
) -> int:
    """Cancel those of these tasks that a selection still means. Returns how many."""
    places.records.load(ids)
    records = [find(places, task_id, now) for task_id in ids]
    meant = [one for one in records if one and _is_meant(one, queue, selection, now)]
    for record in meant:
        cancel(places, record.id, DEFAULT_RESULT_TTL, now)
    return len(meant)


def _is_meant(record: Record, queue: str, selection: Selection, now: float) -> bool:
    envelope, age = record.envelope, now - record.enqueue_time
    is_meant = selection.means(record.status, envelope.task_name, envelope.tags, age)
    return is_meant and record.queue == queue


def clear(places: Places, queue: str, most: int) -> int:
    """Remove up to `most` ready and delayed tasks of a queue for good. Returns how many."""
    waiting = places.queues.waiting(queue, most)
    for record in waiting:
        moves.remove(places, record)
    return len(waiting)
