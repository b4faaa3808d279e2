"""What a claim gives: namespaces and lanes in turns, strictly by priority, within all limits."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
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

_MOST_LOOKED_AT = 8
"""Most lanes that a claim looks at in their order, for each that its consumer serves."""

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
    for places in namespaces.values():
        given: list[tuple[Record, int | None]] = []
        for level in Priority:
            if budget.room > 0:
                many, waiting = lanes.waiting(places, level)
                with closing(waiting):
                    turns = _Turns(many, waiting, strangers, level, budget.room)
                    given += _serve_level(turns, consumer, budget, now)
        history.claimed(places, [record for record, _ in given], now)
        deliveries += [record.delivery(isolation) for record, isolation in given]
    starts = [start for start in _starts(lanes.limited(), now) if start > now]
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


class _Lanes:
    """The lanes that a claim may take from: none of a queue that is paused."""

    def __init__(self, namespaces: Namespaces, consumer: ConsumerConfig) -> None:
        self._namespaces = namespaces
        self._consumer = consumer
        self._all: list[_ServedLane] | None = None

    def waiting(
        self, places: Places, level: Priority
    ) -> tuple[int, Generator[_ServedLane, None, None]]:
        """Those in which tasks of a priority wait, the one served longest ago first.

        With how many they are, or a few more.
        """
        found = places.lanes.in_turn(level)
        # Who serves few of many lanes looks at its own.
        if found is not None and found[0] <= _MOST_LOOKED_AT * len(self._consumer.lanes):
            return found[0], self._served(places, found[1])
        lanes = [one for one in self.all() if one.places is places and one.lane.ready[level]]
        lanes.sort(key=lambda served: served.lane.served[level])
        return len(lanes), (served for served in lanes)

    def _served(
        self, places: Places, lanes: Generator[Lane, None, None]
    ) -> Generator[_ServedLane, None, None]:
        serves, limits = self._consumer.serves, self._consumer.limits
        paused = frozenset(places.queues.paused())
        with closing(lanes):
            for lane in lanes:
                if serves(lane.name) and not (paused and queue_of(lane.name) in paused):
                    yield _ServedLane(places, lane, limits.get(lane.name, NO_LIMIT))

    def limited(self) -> list[_ServedLane]:
        """Those that have a limit."""
        limits = self._consumer.limits
        return [one for one in self.all() if one.limit is not NO_LIMIT] if limits else []

    def all(self) -> list[_ServedLane]:
        """All of them."""
        if self._all is None:
            self._all = _served_lanes(self._namespaces, self._consumer)
        return self._all


class _Turns:
    """The lanes of one priority that take turns. Each gives a task, and goes behind the others."""

    def __init__(
        self,
        many: int,
        waiting: Iterator[_ServedLane],
        strangers: Strangers,
        level: Priority,
        room: int,
    ) -> None:
        self._waiting = waiting
        self._strangers = strangers
        self._level = level
        self._share = -(-room // max(1, many))
        self._again: deque[_Turn] = deque()

    def next(self) -> "_Turn | None":
        """The lane that has its turn, and the tasks that it may give; None if there is none."""
        served = next(self._waiting, None)
        if served is None:
            return self._again.popleft() if self._again else None
        return served, self._strangers.among(served.places, served.lane, self._level, self._share)

    def again(self, turn: "_Turn") -> None:
        """A lane has given a task, and may give another one."""
        self._again.append(turn)


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
