"""What a claim gives: namespaces and lanes in turns, strictly by priority, within all limits."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.brokers._rules import history
from ltq.brokers._rules.constants import LANES_AT_ONCE
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

_MOST_PASSED = 8
"""How many lanes that its consumer may not take from a claim passes over in their order, for each
that it serves. Then it looks at those."""

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
    lanes = _Lanes(namespaces, consumer)
    deliveries: list[Delivery] = []
    strangers = Strangers(consumer)
    for namespace, places in namespaces.items():
        given: list[tuple[Record, int | None]] = []
        for level in Priority:
            if budget.room > 0:
                with closing(lanes.waiting(namespace, level)) as waiting:
                    turns = _Turns(waiting, strangers, level, budget.room)
                    given += _serve_level(turns, consumer, budget, now)
        history.claimed(places, [record for record, _ in given], now)
        deliveries += [record.delivery(isolation) for record, isolation in given]
    starts = [start for start in _starts(lanes.limited(), now) if start > now]
    start_in = min(starts) - now if starts else None
    due_in = 0.0 if strangers.lanes else _due_in(namespaces, starts, now)
    return Claim(deliveries, due_in, start_in, budget.refused, tuple(strangers.lanes))


def next_claim(namespaces: Namespaces, consumer: ConsumerConfig, now: float) -> float | None:
    """Seconds until a claim may give something without a wake-up, 0 for now; None if unknown."""
    lanes, starts = _Lanes(namespaces, consumer), list[float]()
    for namespace in namespaces:
        for level in Priority:
            with closing(lanes.waiting(namespace, level)) as waiting:
                for served in waiting:
                    starts.append(next_start(served.lane, served.limit, now))
                    if starts[-1] <= now:
                        return 0.0
    return _due_in(namespaces, starts, now)


class _Lanes:
    """The lanes that a claim may take from: none of a queue that is paused."""

    def __init__(self, namespaces: Namespaces, consumer: ConsumerConfig) -> None:
        self._consumer = consumer
        self._namespaces = namespaces
        self._paused = {
            name: frozenset(places.queues.paused()) for name, places in namespaces.items()
        }

    def waiting(self, namespace: str, level: Priority) -> Generator[_ServedLane, None, None]:
        """Those in which tasks of a priority wait, the one served longest ago first."""
        lanes = self._namespaces[namespace].lanes
        passed, most_passed = 0, _MOST_PASSED * len(self._consumer.namespaces[namespace])
        seen: set[str] = set()
        with closing(lanes.in_turn(level)) as in_turn:
            for lane in in_turn:
                if self._is_open(namespace, lane.name):
                    seen.add(lane.name)
                    yield self._served(namespace, lane)
                elif (passed := passed + 1) > most_passed:
                    break
            else:
                return
        own = self._of(namespace, self._consumer.namespaces[namespace])
        left = [lane for lane in own if lane.ready[level] and lane.name not in seen]
        for lane in sorted(left, key=lambda lane: lane.served[level]):
            yield self._served(namespace, lane)

    def limited(self) -> Iterator[_ServedLane]:
        """Those that have a limit."""
        limits = self._consumer.limits
        for namespace, names in self._consumer.limited.items():
            for lane in self._of(namespace, names):
                if lane.name in limits:
                    yield self._served(namespace, lane)

    def _of(self, namespace: str, names: Iterable[str]) -> list[Lane]:
        """All lanes of the queues of some lanes."""
        lanes = self._namespaces[namespace].lanes
        queues = dict.fromkeys(map(queue_of, names))
        lanes.load(queues)
        every = (lane for queue in queues for lane in lanes.of(queue))
        return [lane for lane in every if self._is_open(namespace, lane.name)]

    def _is_open(self, namespace: str, name: str) -> bool:
        paused = self._paused[namespace]
        return self._consumer.serves(name) and not (paused and queue_of(name) in paused)

    def _served(self, namespace: str, lane: Lane) -> _ServedLane:
        limit = self._consumer.limits.get(lane.name, NO_LIMIT)
        return _ServedLane(self._namespaces[namespace], lane, limit)


class _Turns:
    """The lanes of one priority that take turns. Each gives a task, and goes behind the others."""

    def __init__(
        self, waiting: Iterator[_ServedLane], strangers: Strangers, level: Priority, room: int
    ) -> None:
        self._waiting = waiting
        self._strangers = strangers
        self._level = level
        first = [*islice(waiting, min(room, LANES_AT_ONCE))]
        self._share = -(-room // max(1, len(first)))
        self._open = deque(map(self._begin, first))

    def _begin(self, served: _ServedLane) -> "_Turn":
        """A lane, and the tasks that it may give."""
        return served, self._strangers.among(served.places, served.lane, self._level, self._share)

    def next(self) -> "_Turn | None":
        """The lane that has its turn; None if there is none."""
        if self._open:
            return self._open.popleft()
        served = next(self._waiting, None)
        return None if served is None else self._begin(served)

    def again(self, turn: "_Turn") -> None:
        """A lane has given a task, and may give another one."""
        self._open.append(turn)


_Turn = tuple[_ServedLane, Iterator[Record]]


def _serve_level(
    turns: _Turns, consumer: ConsumerConfig, budget: ClaimBudget, now: float
) -> Iterator[tuple[Record, int | None]]:
    """Lease tasks of one priority. Gives each with how many may run beside it."""
    while budget.room > 0 and (turn := turns.next()) is not None:
        served, line = turn
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
        turns.again(turn)


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
