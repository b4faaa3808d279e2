"""What is seen from outside: the counts of a queue, and the workers."""

from collections.abc import Iterable

from ltq.broker import HeldTask, SeenWorker, list_workers
from ltq.brokers._rules import dead_letters, history
from ltq.brokers._rules.constants import OVERDUE_AFTER
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.presence import is_served, served
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import QueueStats, Status, WorkerInfo


def queue_stats(places: Places, queue: str, now: float) -> QueueStats:
    """Exact counts of a queue."""
    lanes = places.lanes.of(queue)
    unserved = [
        lane
        for lane in lanes
        if lane.name != queue and any(lane.ready) and not is_served(places, lane.name, now)
    ]
    rate, rate_10s = history.rates(places, queue, now)
    by_priority = {level: sum(lane.ready[level] for lane in lanes) for level in Priority}
    return QueueStats(
        queue=queue,
        pending=sum(by_priority.values()),
        delayed=places.queues.count(queue, Status.DELAYED),
        working=places.queues.count(queue, Status.WORKING),
        dead=dead_letters.count(places, queue, now),
        rate=rate,
        rate_10s=rate_10s,
        by_priority={level.name.lower(): number for level, number in by_priority.items()},
        oldest=_oldest(places, lanes, now, _first_due(places, queue, now)),
        overdue=_overdue(places, queue, now),
        unserved={lane.name.partition("/")[2]: sum(lane.ready) for lane in unserved},
        unserved_oldest=_oldest(places, unserved, now),
        served_ago=served(places, [queue], now)[0],
        paused=queue in places.queues.paused(),
        unswept=_unswept(places, queue, now),
    )


def workers(namespaces: Iterable[Places], now: float) -> list[WorkerInfo]:
    """The workers, and the consumers without a worker that hold tasks, sorted by name."""
    held: dict[str, list[HeldTask]] = {}
    seen: list[SeenWorker] = []
    for places in namespaces:
        seen += places.workers.values(now)
        for record in places.queues.working():
            held.setdefault(record.worker or "", []).append(_held(record))
    return list_workers(seen, held, now)


def _oldest(
    places: Places, lanes: Iterable[Lane], now: float, due: Iterable[float] = ()
) -> float | None:
    """Seconds that the oldest ready task has waited, or one that is due since a time in `due`.

    It is the first in one of the lines.
    """
    heads = [
        record
        for lane in lanes
        for level in Priority
        for record in places.lanes.first(lane, level, 1)
    ]
    since = [*(head.waits_since for head in heads), *due]
    return max((max(0.0, now - moment) for moment in since), default=None)


def _overdue(places: Places, queue: str, now: float) -> int:
    """How many leases ended a while ago, and nobody claimed since to take them back."""
    limit = now - OVERDUE_AFTER
    working = places.queues.working()
    return sum(record.queue == queue and record.when <= limit for record in working)


def _unswept(places: Places, queue: str, now: float) -> float | None:
    """Seconds since the first task became due, or lost its worker, that nobody has moved."""
    working = [record.when for record in places.queues.working() if record.queue == queue]
    first = min([*working, *_first_due(places, queue, now)], default=now)
    return now - first if first < now else None


def _first_due(places: Places, queue: str, now: float) -> list[float]:
    """Since when the first task of a queue is due that no claim has made ready, if there is one."""
    earliest = places.delayed.next()
    if earliest is None or earliest > now:  # most often none is due, so all need no look
        return []
    first = places.queues.next_delayed(queue)
    return [first] if first is not None and first < now else []


def _held(record: Record) -> HeldTask:
    task_name = record.envelope.task_name
    return HeldTask(record.id, task_name, record.last_dequeue_time or None, record.when)
