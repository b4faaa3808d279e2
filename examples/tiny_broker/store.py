"""The tasks of one store in a dict, and the rules by which they move.

Every method is called under the store's lock. It looks through all tasks, as nothing is indexed:
that is what a real store has to do better.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from math import inf

from msgspec import structs

from examples.tiny_broker.flows import KeptFlows, again, may_wait, waits
from examples.tiny_broker.history import History
from examples.tiny_broker.slots import Slots
from examples.tiny_broker.task import Key, Task
from ltq.broker import (
    ClaimBudget,
    ConsumerConfig,
    Feed,
    ScheduleSlot,
    SeenWorker,
    SlotReceipt,
    WorkerEntry,
    namespace_of,
)
from ltq.broker.flows import FAILED, NOTE, Arrival, Arrived, Ready, is_in_flow
from ltq.broker.isolation import cause_of_death
from ltq.message import (
    DeadLetter,
    Envelope,
    Finish,
    Lease,
    Outcome,
    Published,
    Receipt,
    Requeue,
    Swept,
)
from ltq.options import (
    DEAD_TTL,
    DEFAULT_RESULT_TTL,
    MAX_DEAD,
    SERVED_TTL,
    Limit,
    Priority,
    Rate,
)
from ltq.state import Status, TaskState

_RECHECK = 1.0
"""Seconds after which a lane is looked at again whose running tasks have to end first."""


@dataclass
class Store:
    """All that brokers of one URL share."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    """Not asyncio's: workers call from several threads, each with an event loop of its own."""
    tasks: dict[Key, Task] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    letters: dict[Key, tuple[DeadLetter, Task]] = field(default_factory=dict)
    """The oldest first; with each letter the task as it died."""
    history: History = field(default_factory=History)
    wakes: set[Callable[[], None]] = field(default_factory=set)
    """Consumers that wait: safe to call from any thread."""
    feeds: dict[Feed, Key] = field(default_factory=dict)
    is_stirred: bool = False
    _told: dict[Feed, TaskState[bytes] | None] = field(default_factory=dict)
    firsts: dict[Key, tuple[str, float]] = field(default_factory=dict)
    _without_trace: dict[Key, tuple[int, Status]] = field(default_factory=dict)
    """How tasks ended that left no state, and with which token: the same may be said once more."""
    slots: Slots = field(default_factory=Slots)
    flows: KeptFlows = field(default_factory=KeptFlows)
    _started: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By lane, how many starts its rate limit counted at the last one, and when that was."""
    _served_until: dict[str, float] = field(default_factory=dict)
    """By lane, until when a live consumer serves it."""
    workers: dict[str, SeenWorker] = field(default_factory=dict)
    """By name, the workers that announced themselves. Some may be gone."""
    _turns: dict[tuple[str, Priority], int] = field(default_factory=dict)
    """By lane and priority, a number that grows with each task that was given."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    # Looking

    def get(self, key: Key, now: float) -> Task | None:
        """A task, unless it is unknown or its final state has expired."""
        task = self.tasks.get(key)
        if task is not None and task.status.is_final and task.due <= now:
            del self.tasks[key]
            return None
        return task

    def held(self, lease: Lease, now: float) -> Task | None:
        """The task of a lease that still holds. This check is what fences every write."""
        task = self.get((namespace_of(lease.queue), lease.id), now)
        if task is None or task.status is not Status.WORKING or task.token != lease.token:
            return None
        return task

    def waiting(self, queue: str) -> list[Task]:
        places = (Status.PENDING, Status.DELAYED)
        return [t for t in self.tasks.values() if t.envelope.queue == queue and t.status in places]

    def lane(self, name: str) -> list[Task]:
        """The pending tasks of a lane, in their order."""
        found = (t for t in self.tasks.values() if t.lane == name and t.status is Status.PENDING)
        return sorted(found, key=lambda task: (task.envelope.priority, task.order))

    def tell(self) -> None:
        """Wake those who wait, and show watchers what has changed: the end of each step."""
        if self.is_stirred:
            self.is_stirred = False
            for wake in tuple(self.wakes):
                wake()
        for feed, key in tuple(self.feeds.items()):
            task = self.tasks.get(key)
            state = None if task is None else task.state()
            if feed not in self._told or self._told[feed] != state:
                self._told[feed] = state
                feed.put_threadsafe(state)

    def unfollow(self, feed: Feed) -> None:
        self.feeds.pop(feed, None)
        self._told.pop(feed, None)

    # Publishing

    def publish(self, envelope: Envelope, now: float) -> Published:
        namespace = namespace_of(envelope.queue)
        present = self.get((namespace, envelope.id), now)
        if present is not None:
            is_same = present.envelope.task_name == envelope.task_name
            return Published.EXISTS if is_same else Published.ID_CONFLICT
        print_ = (namespace, envelope.fingerprint)
        if envelope.fingerprint and self.first(print_, now) is not None:
            return Published.DUPLICATE
        most = envelope.max_pending
        if most is not None and len(self.waiting(envelope.queue)) >= most:
            return Published.FULL
        if envelope.fingerprint:
            self.firsts[print_] = (envelope.id, now + envelope.unique_for)
        task = Task(envelope, enqueue_time=now)
        self.tasks[task.key] = task
        self.queues.add(envelope.queue)
        self.wait(task, max(now + envelope.delay, envelope.eta or 0.0), now)
        return Published.CREATED

    def first(self, fingerprint: Key, now: float) -> str | None:
        task_id, until = self.firsts.get(fingerprint, ("", 0.0))
        return task_id if until > now else None

    def wait(self, task: Task, due: float, now: float, *, front: bool = False) -> None:
        """Make a task pending, or delayed until it is due."""
        number = next(self._numbers)
        task.status = Status.DELAYED if due > now else Status.PENDING
        task.due, task.order = due, (False, task.token) if front else (True, number)
        task.progress = task.revoke = None
        self.is_stirred = True

    def _come_back(self, task: Task, now: float, *, front: bool = False) -> None:
        task.requeue_count += 1
        task.last_requeue_time = now
        self.wait(task, now, now, front=front)

    # Claiming

    def serve(self, lanes: Iterable[str], duration: float, now: float) -> None:
        """A live consumer serves these lanes: their queues are known."""
        for lane in lanes:
            self.queues.add(lane.partition("/")[0])
            self._served_until[lane] = max(now + duration, self._served_until.get(lane, 0.0))

    def served_ago(self, lane: str, now: float) -> float | None:
        """Seconds for which no live consumer has served a lane; None if none is known."""
        age = max(0.0, now - self._served_until.get(lane, -inf))
        return age if age < SERVED_TTL else None

    def listed(self, now: float) -> list[SeenWorker]:
        """The workers that are not gone."""
        return [one for one in self.workers.values() if now - one.seen < one.entry.gone_after]

    def leave(self, worker: WorkerEntry, lanes: Iterable[str], now: float) -> None:
        """A worker has ended: what nobody else may serve is not served any more."""
        self.workers.pop(worker.name, None)
        queues = [queue for one in self.listed(now) for queue in one.entry.queues]
        others = set(map(namespace_of, queues))
        for lane in lanes:
            if namespace_of(lane) not in others and self.served_ago(lane, now) == 0.0:
                self._served_until[lane] = now - 0.000001

    def sweep(self, namespaces: Iterable[str], now: float) -> Swept:
        """Move what is due, and take back what dead workers left."""
        homes, counts = set(namespaces), Counter[str]()
        due = [t for t in self.tasks.values() if t.key[0] in homes and t.due <= now]
        for task in sorted(due, key=lambda task: (task.due, task.order)):
            if task.status is Status.DELAYED:
                self.become_due(task, task.due, now)
                counts["promoted"] += 1
        for task in sorted(due, key=lambda task: task.token):
            if task.status is Status.WORKING:
                counts[self._recover(task, now)] += 1
        return Swept(**counts)

    def become_due(self, task: Task, when: float, now: float) -> None:
        task.last_requeue_time = when
        task.requeue_count += task.dequeue_count > 0  # it is a retry
        self.wait(task, now, now)

    def _recover(self, task: Task, now: float) -> str:
        """Take a task back from a dead worker, or bury it if it has killed too many."""
        task.deaths += 1
        task.token = next(self._numbers)  # so the lost lease is void from now on
        most = task.envelope.max_deliveries
        if most is None or task.deaths < most:  # without it, who claims the task decides
            self._come_back(task, now)
            return "recovered"
        task.failure = cause_of_death(task.deaths)
        self.flows.note(task, Status.REJECTED, now)
        self.end(task, Status.REJECTED, self._ttl(task, DEFAULT_RESULT_TTL), now, is_dead=True)
        return "buried"

    def change_lane(self, task: Task, lane: str) -> None:
        """Move a pending task behind the others of another lane. It is still the same to see."""
        task.envelope = structs.replace(task.envelope, lane=lane)
        task.order = (True, next(self._numbers))
        self.is_stirred = True

    def pick(
        self, lanes: Iterable[str], config: ConsumerConfig, budget: ClaimBudget, now: float
    ) -> Iterator[tuple[Task, int | None]]:
        """Whose turn it is, and how many may run beside it.

        By priority, the lanes of one priority in turns, the oldest first.
        """
        for level in Priority:
            lines = {
                lane: deque(
                    takewhile(
                        lambda task: task.lane_for(config) is None,
                        (t for t in self.lane(lane) if t.envelope.priority == level),
                    )
                )
                for lane in lanes
            }
            while budget.room > 0 and any(lines.values()):
                open_ = (lane for lane, line in lines.items() if line)
                lane = min(open_, key=lambda name: self._turns.get((name, level), 0))
                limit, line = config.limits.get(lane, Limit()), lines[lane]
                task = line[0]
                isolation = config.isolation_of(
                    task.envelope.task_name, task.deaths, task.envelope.max_deliveries
                )
                if self.next_start(lane, limit, now) > now or not budget.takes(isolation):
                    line.clear()
                    continue
                self._turns[lane, level] = next(self._numbers)
                if limit.rate is not None:
                    self._started[lane] = (self._used(lane, limit.rate, now) + 1, now)
                yield line.popleft(), isolation

    def next_start(self, lane: str, limit: Limit, now: float) -> float:
        """When a lane's limit lets the next task start."""
        if limit.running is not None:
            places = (t.status for t in self.tasks.values() if t.lane == lane)
            if sum(status is Status.WORKING for status in places) >= limit.running:
                return now + _RECHECK
        if limit.rate is None:
            return -inf
        used = self._used(lane, limit.rate, now)
        return now + (used - (limit.rate.burst - 1)) * limit.rate.interval

    def _used(self, lane: str, rate: Rate, now: float) -> float:
        """How many starts a rate limit counts now: one runs out in each interval."""
        used, moment = self._started.get(lane, (0.0, 0.0))
        if moment > now:  # the clock was set back
            return 0.0
        return max(0.0, min(used, rate.burst) - (now - moment) / rate.interval)

    def lend(self, task: Task, worker: str, lease: float, now: float) -> None:
        task.status, task.due, task.worker = Status.WORKING, now + lease, worker
        task.token = next(self._numbers)
        task.dequeue_count += 1
        task.last_dequeue_time = now
        self.history.claimed(task, now)

    def moments(
        self, lanes: Iterable[str], limits: Mapping[str, Limit], now: float
    ) -> tuple[list[float], list[float]]:
        """When something is due in the lanes' namespaces, and when pending tasks may start."""
        homes = {namespace_of(lane) for lane in lanes}
        timed = (Status.DELAYED, Status.WORKING)
        due = [t.due for t in self.tasks.values() if t.status in timed and t.key[0] in homes]
        ready = (lane for lane in lanes if self.lane(lane))
        return due, [self.next_start(lane, limits.get(lane, Limit()), now) for lane in ready]

    # Ending

    def finish(self, outcome: Outcome, now: float) -> Receipt:
        lease = outcome.lease
        key = (namespace_of(lease.queue), lease.id)
        task = self.get(key, now)
        if task is None:
            token, status = self._without_trace.get(key, (0, None))
            if token != lease.token:
                return Receipt.GONE
            is_same = isinstance(outcome, Finish) and outcome.status is status
            return Receipt.OK if is_same else Receipt.STALE
        if task.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if self.held(lease, now) is None:
            if isinstance(outcome, Finish):
                is_same = (task.token, task.status) == (lease.token, outcome.status)
            else:
                is_same = task.returned == lease.token
            return Receipt.OK if is_same else Receipt.STALE
        is_void = isinstance(outcome, Requeue) and outcome.is_void
        task.failure = outcome.failure or (task.failure if is_void else None)
        if not is_void and not (isinstance(outcome, Finish) and outcome.is_poison):
            task.deaths = 0  # its run has ended by itself: it does not kill workers
        self.history.has_run(task, outcome, now)
        if isinstance(outcome, Finish):
            self._finish(task, outcome, now)
        else:
            self._requeue(task, outcome, now)
        return Receipt.OK

    def _finish(self, task: Task, outcome: Finish, now: float) -> None:
        if outcome.status is Status.COMPLETED or outcome.result:
            task.result = outcome.result
        self.flows.note(task, outcome.status, now, outcome)
        claimed = task.envelope
        if outcome.dead and outcome.ctx is not None:  # it is for the letter
            task.envelope = structs.replace(claimed, ctx=outcome.ctx)
        self.end(task, outcome.status, outcome.result_ttl, now, is_dead=outcome.dead)
        task.envelope = claimed
        task.body_serializer = task.envelope.serializer
        task.envelope = structs.replace(task.envelope, serializer=outcome.serializer)

    def _requeue(self, task: Task, outcome: Requeue, now: float) -> None:
        task.returned = task.token
        task.tries += outcome.failed
        ctx = task.envelope.ctx if outcome.ctx is None else outcome.ctx
        timeout = task.envelope.timeout if outcome.timeout is None else outcome.timeout
        task.envelope = structs.replace(task.envelope, ctx=ctx, timeout=timeout)
        if outcome.delay > 0:
            self.wait(task, now + outcome.delay, now)
        else:
            self._come_back(task, now, front=outcome.front)

    def cancel(self, task: Task, result_ttl: float, now: float) -> bool:
        if task.status.is_final:
            return False
        if task.revoke is not None:
            task.revoke()
        task.failure = None
        self.flows.note(task, Status.CANCELLED, now)
        self.end(task, Status.CANCELLED, self._ttl(task, result_ttl), now)
        return True

    def end(
        self, task: Task, status: Status, ttl: float, now: float, *, is_dead: bool = False
    ) -> None:
        """Make a task final, for `ttl` seconds, and a dead letter if it is to be one."""
        self.history.ended(task, status, now)
        was_working = task.status is Status.WORKING
        task.status, task.due, task.release_time = status, now + ttl, now
        task.progress = task.revoke = None
        self.is_stirred = True  # where running tasks are limited, another one may start
        if is_dead:
            self.bury(task, now)
        if ttl <= 0:
            del self.tasks[task.key]
            if was_working and status is not Status.CANCELLED:
                self._without_trace[task.key] = (task.token, status)

    def _ttl(self, task: Task, default: float) -> float:
        return default if task.envelope.result_ttl is None else task.envelope.result_ttl

    # Workflows

    def arrive(self, queue: str, arrival: Arrival, now: float) -> Arrived:
        task = self.get((namespace_of(queue), arrival.id), now)
        if task is None or not may_wait(task):
            return Arrived.ENDED
        comes_after_all = self.flows.put(task.key, arrival)
        if arrival.failed and self.flows.slots[task.key][arrival.slot] == FAILED:
            self.cancel(task, DEFAULT_RESULT_TTL, now)
            return Arrived.STOPPED
        if task.status is Status.CANCELLED and arrival.slot > NOTE:
            count = self.flows.count(task.key)
            if count is None or count.failed or not (comes_after_all and arrival.revives):
                return Arrived.STOPPED
            self.restart(task, now, held=True)
        return self.flows.answer(task, arrival)

    def go_on(self, task: Task | None, ready: Ready, now: float) -> bool:
        if task is None or not waits(task):
            return False
        self.flows.forget(task.key)
        if ready.body is not None:
            task.envelope = structs.replace(task.envelope, body=ready.body, eta=None)
            task.enqueue_time = task.last_requeue_time = now
            self.wait(task, now, now)
            return True
        task.result, task.failure = ready.result, ready.failure
        status = Status.COMPLETED if ready.failure is None else Status.REJECTED
        self.flows.note(task, status, now)
        self.end(task, status, self._ttl(task, DEFAULT_RESULT_TTL), now)
        return True

    def restart(self, task: Task | None, now: float, *, held: bool) -> bool:
        is_kept = task is not None and is_in_flow(task.envelope.ctx)
        if task is None or task.status is not Status.CANCELLED or not is_kept:
            return False
        self.flows.slots.get(task.key, {}).pop(NOTE, None)
        self.wait(task, again(task, now, held=held), now)
        return True

    # Dead letters

    def bury(self, task: Task, now: float) -> None:
        self.letters.pop(task.key, None)
        self.letters[task.key] = (task.dead_letter(now), replace(task))
        if len(self.letters) > MAX_DEAD:
            for letter in self.dead_letters(task.envelope.queue, now)[MAX_DEAD:]:
                del self.letters[task.key[0], letter.id]

    def dead_letters(self, queue: str | None, now: float) -> list[DeadLetter]:
        """The letters of a queue or of all, the newest first."""
        letters = [letter for letter, _ in self.letters.values() if letter.time > now - DEAD_TTL]
        letters.sort(key=lambda letter: letter.time)  # some may come from another store
        return [letter for letter in reversed(letters) if queue in (None, letter.queue)]

    def replay(self, queue: str, task_id: str, now: float) -> Published:
        key = (namespace_of(queue), task_id)
        letter, died = self.letters.get(key, (None, None))
        if letter is None or died is None or letter.queue != queue:
            return Published.GONE
        present = self.get(key, now)
        if present is not None and not present.status.is_final:
            return Published.EXISTS
        del self.letters[key]
        self.tasks[key] = task = replace(died, enqueue_time=now, tries=0, deaths=0, items_of=0)
        task.result = task.failure = task.release_time = None
        task.returned = 0
        self.wait(task, now, now)
        return Published.CREATED

    # Schedules

    def fire(self, slot: ScheduleSlot, now: float) -> SlotReceipt:
        return self.slots.fire(slot, now, self.publish)


@asynccontextmanager
async def step(store: Store) -> AsyncIterator[float]:
    """One atomic step, at one time."""
    await asyncio.sleep(0)  # a call over a network lets others run as well
    with store.lock:
        yield time.time()
        store.tell()
