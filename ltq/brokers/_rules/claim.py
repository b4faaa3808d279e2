"""What a claim gives: namespaces and lanes in turns, strictly by priority, within all limits."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.brokers._rules import history
from ltq.brokers._rules.limits import next_start, spend
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.strangers import Strangers
from ltq.brokers._rules.sweep import sweep
from ltq.message import Delivery
from ltq.names import queue_of
from ltq.options import Limit, Priority
from ltq.state import Status

NO_LIMIT = Limit()

Namespaces = Mapping[str, Places]
"""The places of each namespace that a consumer serves, in the order of this claim."""


@dataclass(slots=True, eq=False)  # not frozen: each claim makes one for each lane
class _ServedLane:
    places: Places
    lane: Lane
    limit: Limit


def claim(
    namespaces: Namespaces, consumer: ConsumerConfig, budget: ClaimBudget, now: float
) -> Claim:
    """Sweep, then lease tasks to a consumer, as many as the budget has room for."""
    for places in namespaces.values():
        sweep(places, now)
    lanes = _served_lanes(namespaces, consumer)
    deliveries: list[Delivery] = []
    strangers = Strangers(consumer)
    for places in namespaces.values():
        own = [served for served in lanes if served.places is places]
        given = [
            one
            for level in Priority
            for one in _serve_level(own, level, consumer, strangers, budget, now)
        ]
        history.claimed(places, [record for record, _ in given], now)
        deliveries += [record.delivery(isolation) for record, isolation in given]
    limited = (served for served in lanes if served.limit is not NO_LIMIT)
    starts = [start for start in _starts(limited, now) if start > now]
    start_in = min(starts) - now if starts else None
    due_in = 0.0 if strangers.lanes else _due_in(namespaces, starts, now)
    return Claim(deliveries, due_in, start_in, budget.refused, tuple(strangers.lanes))


def next_claim(namespaces: Namespaces, consumer: ConsumerConfig, now: float) -> float | None:
    """Seconds until a claim may give something without a wake-up, 0 for now; None if unknown."""
    starts = _starts(_served_lanes(namespaces, consumer), now)
    if any(start <= now for start in starts):
        return 0.0
    return _due_in(namespaces, starts, now)


def _served_lanes(namespaces: Namespaces, consumer: ConsumerConfig) -> list[_ServedLane]:
    """The lanes that a claim may take from: none of a queue that is paused."""
    serves, limits = consumer.serves, consumer.limits
    return [
        _ServedLane(places, lane, limits.get(lane.name, NO_LIMIT))
        for namespace, places in namespaces.items()
        for queue in _open_queues(places, consumer.namespaces[namespace])
        for lane in places.lanes.of(queue)
        if serves(lane.name)
    ]


def _open_queues(places: Places, lanes: Iterable[str]) -> list[str]:
    """The queues of these lanes that are not paused. Their lanes are announced."""
    paused = frozenset(places.queues.paused())
    queues = [queue for queue in dict.fromkeys(map(queue_of, lanes)) if queue not in paused]
    places.lanes.load(queues)
    return queues


def _serve_level(
    lanes: list[_ServedLane],
    level: Priority,
    consumer: ConsumerConfig,
    strangers: Strangers,
    budget: ClaimBudget,
    now: float,
) -> Iterator[tuple[Record, int | None]]:
    """Lease tasks of one priority: lanes take turns, beginning with the one served longest ago.

    Gives each with how many may run beside it.
    """
    room = budget.room
    waiting = [served for served in lanes if room > 0 and served.lane.ready[level]]
    waiting.sort(key=lambda served: served.lane.served[level])
    share = -(-room // max(1, len(waiting)))
    turns = deque(
        (served, strangers.among(served.places, served.lane, level, share)) for served in waiting
    )
    while turns and budget.room > 0:
        served, line = turns.popleft()
        record = next(line, None)
        if record is None:
            continue
        if served.limit is not NO_LIMIT and next_start(served.lane, served.limit, now) > now:
            continue
        envelope, isolation = record.envelope, None
        if record.deaths:
            isolation = consumer.isolation_of(
                envelope.task_name, record.deaths, envelope.max_deliveries
            )
        if not budget.takes(isolation):
            continue
        _lease(served, record, consumer, now)
        yield record, isolation
        turns.append((served, line))


def _lease(served: _ServedLane, record: Record, consumer: ConsumerConfig, now: float) -> None:
    """Lease a ready task to a consumer."""
    places, lane = served.places, served.lane
    record.token = places.records.next_token(record.token, now)
    record.dequeue_count += 1
    record.last_dequeue_time = now
    record.worker = consumer.name
    lane.served[record.envelope.priority] = record.token
    if served.limit.rate is not None:
        spend(lane, served.limit.rate, now)
    places.lanes.save(lane)
    places.records.place(record, Status.WORKING, now + consumer.lease)
    places.listener.changed(record)


def _starts(lanes: Iterable[_ServedLane], now: float) -> list[float]:
    """When a task of each lane that is not empty may start."""
    waiting = (served for served in lanes if any(served.lane.ready))
    return [next_start(served.lane, served.limit, now) for served in waiting]


def _due_in(namespaces: Namespaces, starts: Iterable[float], now: float) -> float | None:
    """Seconds until the first start, due time or end of a lease."""
    times = [start for start in starts if start > now]
    for places in namespaces.values():
        times += [
            time for time in (places.delayed.next(), places.leased.next()) if time is not None
        ]
    return max(0.0, min(times) - now) if times else None
