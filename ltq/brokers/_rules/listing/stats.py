"""What is seen from outside: the counts of queues, and the workers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltq.broker import HeldTask, SeenWorker, list_workers
from ltq.brokers._rules import dead_letters, history
from ltq.brokers._rules.constants import OVERDUE_AFTER
from ltq.brokers._rules.history import Rates
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.presence import served, serving
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import QueueStats, Status, WorkerInfo

_LEVELS = [level.name.lower() for level in Priority]

_NONE = [0] * len(Priority)


def queue_stats(places: Places, queues: Sequence[str], now: float) -> list[QueueStats]:
    """Exact counts of each queue. What they need is read of all queues together."""
    places.queues.load(queues)
    places.lanes.load(queues)
    lanes = {queue: places.lanes.of(queue) for queue in queues}
    every = [lane for some in lanes.values() for lane in some]
    foreign = [lane.name for lane in every if lane.name not in lanes and any(lane.ready)]
    look = _Look(
        lanes=lanes,
        waiting_since=places.lanes.waiting_since(every),
        unserved=frozenset(foreign).difference(serving(places, foreign, now)),
        served_ago=dict(zip(queues, served(places, queues, now), strict=True)),
        rates=history.rates(places, queues, now),
        dead=dead_letters.counts(places, queues, now),
        due=_first_due(places, queues, now),
        ended_leases=places.queues.ended_leases(now),
        paused=frozenset(places.queues.paused()),
    )
    return [_stats_of(places, look, queue, now) for queue in queues]


def workers(namespaces: Iterable[Places], now: float) -> list[WorkerInfo]:
    """The workers, and the consumers without a worker that hold tasks, sorted by name."""
    held: dict[str, list[HeldTask]] = {}
    seen: list[SeenWorker] = []
    for places in namespaces:
        seen += places.workers.values(now)
        for record in places.queues.working():
            held.setdefault(record.worker or "", []).append(_held(record))
    return list_workers(seen, held, now)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read of many queues together. Who is not in a mapping by queue has nothing there."""

    lanes: Mapping[str, Sequence[Lane]]
    waiting_since: Mapping[str, float]
    """By lane."""
    unserved: Collection[str]
    """Lanes with ready tasks beside the queues' own that no live consumer serves."""
    served_ago: Mapping[str, float | None]
    rates: Mapping[str, Rates]
    dead: Mapping[str, int]
    due: Mapping[str, float]
    """Since when the first task is due that no claim has made ready."""
    ended_leases: Mapping[str, Sequence[float]]
    paused: Collection[str]


def _stats_of(places: Places, look: _Look, queue: str, now: float) -> QueueStats:
    lanes = look.lanes[queue]
    unserved = [lane for lane in lanes if lane.name in look.unserved]
    due = [look.due[queue]] if queue in look.due else []
    ended_leases = look.ended_leases.get(queue, ())
    first = min([*ended_leases, *due], default=None)
    rates = look.rates[queue]
    ready = [sum(some) for some in zip(_NONE, *(lane.ready for lane in lanes), strict=True)]
    return QueueStats(
        queue=queue,
        pending=sum(ready),
        delayed=places.queues.count(queue, Status.DELAYED),
        working=places.queues.count(queue, Status.WORKING),
        dead=look.dead.get(queue, 0),
        rate=rates.minute,
        rate_10s=rates.lately,
        by_priority=dict(zip(_LEVELS, ready, strict=True)),
        oldest=_oldest(look, lanes, now, due),
        overdue=sum(when <= now - OVERDUE_AFTER for when in ended_leases),
        unserved={lane.name.partition("/")[2]: sum(lane.ready) for lane in unserved},
        unserved_oldest=_oldest(look, unserved, now),
        served_ago=look.served_ago[queue],
        paused=queue in look.paused,
        unswept=None if first is None else now - first,
    )


def _oldest(
    look: _Look, lanes: Iterable[Lane], now: float, due: Iterable[float] = ()
) -> float | None:
    """Seconds that the oldest ready task has waited, or one that is due since a time in `due`."""
    ready = (look.waiting_since.get(lane.name) for lane in lanes)
    first = min([*due, *(since for since in ready if since is not None)], default=None)
    return None if first is None else max(0.0, now - first)


def _first_due(places: Places, queues: Sequence[str], now: float) -> dict[str, float]:
    """Since when the first task of each queue is due that no claim has made ready."""
    earliest = places.delayed.next()
    if earliest is None or earliest > now:  # most often none is due, so all need no look
        return {}
    first = places.queues.first_delayed(queues)
    return {queue: moment for queue, moment in first.items() if moment < now}


def _held(record: Record) -> HeldTask:
    task_name = record.envelope.task_name
    return HeldTask(record.id, task_name, record.last_dequeue_time or None, record.when)
