"""Ending tasks from outside: one is cancelled, or all that wait in a queue are removed."""

from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.retention import find
from ltq.errors import TaskNotFoundError
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
    if record.waits_for_others:
        places.arrivals.keep_until(task_id, now + ttl)
    moves.settle(places, record, Status.CANCELLED, ttl, now)
    return True


def clear(places: Places, queue: str, most: int, now: float) -> int:
    """Remove up to `most` ready and delayed tasks of a queue for good. Returns how many."""
    waiting = places.queues.waiting(queue, most)
    for record in waiting:
        moves.note_ending(places, record, Status.CANCELLED, now)
        if record.waits_for_others:
            places.arrivals.remove(record.id)
        moves.remove(places, record)
    return len(waiting)
