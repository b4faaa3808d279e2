"""The memory broker's store: all namespaces, synchronous, under one lock."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf

from ltq._aio.clock import Clock
from ltq._names import namespace_of
from ltq.broker import Claim
from ltq.broker.feed import Feed
from ltq.broker.isolation import ClaimBudget
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.memory._namespace import Space
from ltq.brokers.memory._places import Lane
from ltq.brokers.memory._record import Record
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import Limit, Priority
from ltq.state import Progress, QueueStats, TaskState, WorkerInfo


class Client:
    """What the store knows of a consumer."""

    def __init__(
        self, name: str, lanes: Iterable[str], *, lease: float, limits: Mapping[str, Limit]
    ) -> None:
        self.name = name
        self.lease = lease
        self.limits: dict[str, Limit] = dict(limits)
        self.homes: dict[str, str] = {lane: namespace_of(lane) for lane in lanes}
        self.namespaces: tuple[str, ...] = tuple(dict.fromkeys(self.homes.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """A consumer that waits; `wake` is safe to call from any thread."""

    client: Client
    wake: Callable[[], None]


class Store:
    """Tasks in memory. Every public method is one atomic step, safe from any thread.

    The lock is reentrant because a garbage collection within a step may run a `finally` that
    closes a feed.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._spaces: dict[str, Space] = {}
        self._queues: set[str] = set()
        self._waiters: set[Waiter] = set()
        self._stirred: set[str] = set()
        self._turns = count(1)

    def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        with self._step() as now:
            return [self._publish(envelope, now) for envelope in envelopes]

    def first(self, queue: str, fingerprint: str) -> str | None:
        with self._step() as now:
            return self._space(queue, now).first(fingerprint, now)

    def claim(
        self,
        client: Client,
        budget: ClaimBudget,
        revoke: Callable[[str], None] | None,
    ) -> Claim:
        with self._step() as now:
            for namespace in client.namespaces:
                self._space(namespace, now).sweep(now)
            deliveries = []
            for space, record in self._pick(client, budget, now):
                space.lend(record, worker=client.name, lease=client.lease, revoke=revoke, now=now)
                deliveries.append(record.delivery())
            starts = [start for start in self._starts(client, now) if start > now]
            start_in = min(starts) - now if starts else None
            return Claim(deliveries, self._due_in(client, now), start_in, budget.refused)

    def wait(self, waiter: Waiter) -> float | None:
        """Take in a waiter. Returns how soon it should wake by itself (0: now), or None."""
        with self._step() as now:
            self._waiters.add(waiter)
            for _, lane in self._lanes(waiter.client):
                if lane and _next_start(waiter.client, lane, now) <= now:
                    return 0.0
            return self._due_in(waiter.client, now)

    def forget(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters.discard(waiter)

    def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        with self._step() as now:
            return [
                self._space(outcome.lease.queue, now).finish(outcome, now) for outcome in outcomes
            ]

    def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        with self._step() as now:
            return [
                lease
                for lease in leases
                if not self._space(lease.queue, now).renew(lease, duration, now)
            ]

    def progress(self, lease: Lease, progress: Progress) -> bool:
        with self._step() as now:
            return self._space(lease.queue, now).progress(lease, progress, now)

    def sweep(self, queues: Iterable[str]) -> Swept:
        with self._step() as now:
            namespaces = dict.fromkeys(map(namespace_of, queues))
            swept = [self._space(namespace, now).sweep(now) for namespace in namespaces]
            return Swept(
                recovered=sum(each.recovered for each in swept),
                promoted=sum(each.promoted for each in swept),
                buried=sum(each.buried for each in swept),
            )

    def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        with self._step() as now:
            space = self._space(queue, now)
            return [_state(space.get(task_id, now)) for task_id in ids]

    def follow(self, queue: str, task_id: str) -> Feed:
        with self._step() as now:
            space = self._space(queue, now)
            feed = Feed(partial(self._unfollow, space, task_id))
            feed.put(_state(space.get(task_id, now)))
            space.follow(task_id, feed)
            return feed

    def queues(self) -> list[str]:
        with self._lock:
            return sorted(self._queues)

    def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        with self._step() as now:
            return [self._space(queue, now).stats(queue, now) for queue in queues]

    def workers(self) -> list[WorkerInfo]:
        with self._step():
            held: dict[str, list[Record]] = {}
            for space in self._spaces.values():
                for record in space.places.leased:
                    held.setdefault(record.worker or "", []).append(record)
            return [_worker(name, records) for name, records in sorted(held.items())]

    def clear(self, queue: str) -> int:
        with self._step() as now:
            return self._space(queue, now).clear(queue)

    def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        with self._step() as now:
            return self._space(queue, now).cancel(task_id, result_ttl, now)

    def find(self, task_id: str) -> TaskState[bytes] | None:
        with self._step() as now:
            states = (_state(space.get(task_id, now)) for space in self._spaces.values())
            return next((state for state in states if state is not None), None)

    def dead_letters(self, queue: str, limit: int, offset: int) -> list[DeadLetter]:
        with self._step() as now:
            return self._space(queue, now).dead_letters(queue, limit, offset, now)

    def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter | None:
        with self._step() as now:
            spaces = self._spaces.values() if queue is None else [self._space(queue, now)]
            found = (space.dead_letter(queue, task_id, now) for space in spaces)
            return next((letter for letter in found if letter is not None), None)

    def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        with self._step() as now:
            space = self._space(queue, now)
            answers = {task_id: space.replay(queue, task_id, now) for task_id in dict.fromkeys(ids)}
            return [answers[task_id] for task_id in ids]

    def purge(self, queue: str, ids: Sequence[str] | None, older_than: float) -> int:
        with self._step() as now:
            return self._space(queue, now).purge_letters(queue, ids, older_than, now)

    def fire(self, tick: ScheduleSlot) -> SlotReceipt:
        with self._step() as now:
            ticked = self._space(tick.queue, now).slots.fire(tick, now)
            if ticked.published is Published.CREATED:
                self._queues.add(tick.queue)
            return ticked

    @contextmanager
    def _step(self) -> Iterator[float]:
        """One atomic step at one time; at its end those wake who wait for what it made ready."""
        with self._lock:
            try:
                yield self.clock()
            finally:
                self._wake()

    def _wake(self) -> None:
        if not self._stirred:
            return
        lanes = self._stirred.copy()
        self._stirred.clear()
        woken = {waiter for waiter in self._waiters if not lanes.isdisjoint(waiter.client.homes)}
        self._waiters -= woken
        for waiter in woken:
            waiter.wake()

    def _space(self, queue: str, now: float) -> Space:
        """The space a queue is in, rid of what has expired."""
        namespace = namespace_of(queue)
        space = self._spaces.get(namespace)
        if space is None:
            space = self._spaces[namespace] = Space(self._stirred)
        space.purge(now)
        return space

    def _publish(self, envelope: Envelope, now: float) -> Published:
        published = self._space(envelope.queue, now).publish(envelope, now)
        if published is Published.CREATED:
            self._queues.add(envelope.queue)
        return published

    def _unfollow(self, space: Space, task_id: str, feed: Feed) -> None:
        with self._lock:
            space.unfollow(task_id, feed)

    def _pick(
        self, client: Client, budget: ClaimBudget, now: float
    ) -> Iterator[tuple[Space, Record]]:
        """The records to lend: the caller takes each out of its lane before it asks for more."""
        for level in Priority:
            yield from self._pick_level(client, level, budget, now)

    def _pick_level(
        self, client: Client, level: Priority, budget: ClaimBudget, now: float
    ) -> Iterator[tuple[Space, Record]]:
        places = [place for place in self._lanes(client) if place[1].lines[level]]
        turn = deque(sorted(places, key=lambda place: place[1].served[level]))
        while turn and budget.room > 0:
            space, lane = turn.popleft()
            if _next_start(client, lane, now) > now or not budget.takes(
                lane.first(level).isolation
            ):
                continue
            limit = client.limits.get(lane.name, _NO_LIMIT)
            yield space, lane.serve(level, number=next(self._turns), rate=limit.rate, now=now)
            if lane.lines[level]:
                turn.append((space, lane))

    def _lanes(self, client: Client) -> Iterator[tuple[Space, Lane]]:
        for name, namespace in client.homes.items():
            space = self._spaces.get(namespace)
            if space is not None and name in space.places.lanes:
                yield space, space.places.lanes[name]

    def _starts(self, client: Client, now: float) -> list[float]:
        """When tasks of each lane that is not empty may start."""
        return [_next_start(client, lane, now) for _, lane in self._lanes(client) if lane]

    def _due_in(self, client: Client, now: float) -> float | None:
        times = [start for start in self._starts(client, now) if start > now]
        for namespace in client.namespaces:
            places = self._space(namespace, now).places
            times += [
                time for time in (places.delayed.next, places.leased.next) if time is not None
            ]
        return max(0.0, min(times) - now) if times else None


_NO_LIMIT = Limit()

_RECHECK = 1.0
"""Seconds until a lane is looked at again whose limit is used up by running tasks."""


def _next_start(client: Client, lane: Lane, now: float) -> float:
    """When a limit may let a task start; a wake-up comes sooner where others must end first."""
    limit = client.limits.get(lane.name, _NO_LIMIT)
    if limit.running is not None and lane.working >= limit.running:
        return now + _RECHECK
    return -inf if limit.rate is None else lane.next_start(limit.rate)


def _worker(name: str, records: Sequence[Record]) -> WorkerInfo:
    times = [record.last_dequeue_time for record in records if record.last_dequeue_time]
    return WorkerInfo(
        name=name,
        running=tuple(sorted(record.id for record in records)),
        task_names=tuple(sorted({record.envelope.task_name for record in records})),
        since=min(times, default=None),
    )


def _state(record: Record | None) -> TaskState[bytes] | None:
    return None if record is None else record.state()
