"""What is seen from outside: the counts of a queue, and the workers that hold tasks."""

from collections.abc import Iterable, Sequence

from ltq.brokers._rules import dead_letters, throughput
from ltq.brokers._rules.constants import OVERDUE_AFTER
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import QueueStats, Status, WorkerInfo


def queue_stats(places: Places, queue: str, now: float) -> QueueStats:
    """Exact counts of a queue."""
    lanes = places.lanes.of(queue)
    by_priority = {level: sum(lane.ready[level] for lane in lanes) for level in Priority}
    return QueueStats(
        queue=queue,
        pending=sum(by_priority.values()),
        delayed=places.queues.count(queue, Status.DELAYED),
        working=places.queues.count(queue, Status.WORKING),
        dead=dead_letters.count(places, queue, now),
        rate=throughput.rate(places, queue, now),
        by_priority={level.name.lower(): number for level, number in by_priority.items()},
        oldest=_oldest(places, queue, now),
        overdue=_overdue(places, queue, now),
    )


def workers(namespaces: Iterable[Places]) -> list[WorkerInfo]:
    """The consumers that hold tasks at present, sorted by name."""
    held: dict[str, list[Record]] = {}
    for places in namespaces:
        for record in places.queues.working():
            held.setdefault(record.worker or "", []).append(record)
    return [_worker(name, records) for name, records in sorted(held.items())]


def _oldest(places: Places, queue: str, now: float) -> float | None:
    """Seconds that the oldest ready task has waited. It is the first in one of the lines."""
    heads = [
        record
        for lane in places.lanes.of(queue)
        for level in Priority
        for record in places.lanes.first(lane, level, 1)
    ]
    since = (max(head.enqueue_time, head.last_requeue_time or 0.0) for head in heads)
    return max((max(0.0, now - moment) for moment in since), default=None)


def _overdue(places: Places, queue: str, now: float) -> int:
    """How many leases ended a while ago, and nobody claimed since to take them back."""
    limit = now - OVERDUE_AFTER
    working = places.queues.working()
    return sum(record.queue == queue and record.when <= limit for record in working)


def _worker(name: str, records: Sequence[Record]) -> WorkerInfo:
    times = [record.last_dequeue_time for record in records if record.last_dequeue_time]
    return WorkerInfo(
        name=name,
        running=tuple(sorted(record.id for record in records)),
        task_names=tuple(sorted({record.envelope.task_name for record in records})),
        since=min(times, default=None),
    )
