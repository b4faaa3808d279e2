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
from itertools import count
from math import inf

from msgspec import structs

from examples.tiny_broker.task import Key, Task
from ltq.broker import SLOT_AHEAD, ClaimBudget, Feed, ScheduleSlot, SlotReceipt, namespace_of
from ltq.message import (
    DeadLetter,
    Envelope,
    Failure,
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
    DEFAULT_MAX_DELIVERIES,
    DEFAULT_RESULT_TTL,
    MAX_DEAD,
    Limit,
    Priority,
)
from ltq.state import Status, TaskState

_SLOT_TTL = 30 * 86400
"""Seconds for which the last slot of a schedule is kept after its next one is due."""

_RECHECK = 1.0
"""Seconds after which a lane is looked at again whose running tasks have to end first."""

_MINUTE = 60.0


@dataclass
class Store:
    """All that brokers of one URL share."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    """Not asyncio's: workers call from several threads, each with an event loop of its own."""
    tasks: dict[Key, Task] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)
    letters: dict[Key, tuple[DeadLetter, Task]] = field(default_factory=dict)
    """The oldest first; with each letter the task as it died."""
    ended: deque[tuple[float, str]] = field(default_factory=deque)
    """When tasks of which queue ended lately, for `QueueStats.rate`."""
    wakes: set[Callable[[], None]] = field(default_factory=set)
    """Consumers that wait: safe to call from any thread."""
    feeds: dict[Feed, Key] = field(default_factory=dict)
    _told: dict[Feed, TaskState[bytes] | None] = field(default_factory=dict)
    _is_stirred: bool = False
    _firsts: dict[Key, tuple[str, float]] = field(default_factory=dict)
    _without_trace: dict[Key, int] = field(default_factory=dict)
    """Tokens of tasks that ended and left no state: the same outcome may come once more."""
    _slots: dict[Key, ScheduleSlot] = field(default_factory=dict)
    _full_at: dict[str, float] = field(default_factory=dict)
    _served: dict[tuple[str, Priority], int] = field(default_factory=dict)
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
        if self._is_stirred:
            self._is_stirred = False
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
        if envelope.max_pending is not None:
            delayed = [t for t in self.waiting(envelope.queue) if t.status is Status.DELAYED]
            ready = self.lane(envelope.lane or envelope.queue)
            if len(ready) + len(delayed) >= envelope.max_pending:
                return Published.FULL
        if envelope.fingerprint:
            self._firsts[print_] = (envelope.id, now + envelope.unique_for)
        task = Task(envelope, enqueue_time=now)
        self.tasks[task.key] = task
        self.queues.add(envelope.queue)
        self._wait(task, max(now + envelope.delay, envelope.eta or 0.0), now)
        return Published.CREATED

    def first(self, fingerprint: Key, now: float) -> str | None:
        task_id, until = self._firsts.get(fingerprint, ("", 0.0))
        return task_id if until > now else None

    def _wait(self, task: Task, due: float, now: float, *, front: bool = False) -> None:
        """Make a task pending, or delayed until it is due."""
        number = next(self._numbers)
        task.status = Status.DELAYED if due > now else Status.PENDING
        task.due, task.order = due, -number if front else number
        task.progress = task.revoke = None
        self._is_stirred = True

    def _come_back(self, task: Task, now: float, *, front: bool = False) -> None:
        task.requeue_count += 1
        task.last_requeue_time = now
        self._wait(task, now, now, front=front)

    # Claiming

    def sweep(self, namespaces: Iterable[str], now: float) -> Swept:
        """Move what is due, and take back what dead workers left."""
        homes, counts = set(namespaces), Counter[str]()
        due = [t for t in self.tasks.values() if t.key[0] in homes and t.due <= now]
        for task in sorted(due, key=lambda task: task.due):
            if task.status is Status.DELAYED:
                self._come_back(task, now)
                counts["promoted"] += 1
            elif task.status is Status.WORKING:
                counts[self._recover(task, now)] += 1
        return Swept(**counts)

    def _recover(self, task: Task, now: float) -> str:
        """Take a task back from a dead worker, or bury it if it has killed too many."""
        task.deaths += 1
        task.token = next(self._numbers)  # so the lost lease is void from now on
        if task.deaths < (task.envelope.max_deliveries or DEFAULT_MAX_DELIVERIES):
            self._come_back(task, now)
            return "recovered"
        times = "once" if task.deaths == 1 else f"{task.deaths} times"
        task.failure = Failure("", f"killed its worker {times}")
        self.end(task, Status.REJECTED, self._ttl(task, DEFAULT_RESULT_TTL), now, is_dead=True)
        return "buried"

    def pick(
        self, lanes: Iterable[str], limits: Mapping[str, Limit], budget: ClaimBudget, now: float
    ) -> Iterator[Task]:
        """Whose turn it is: by priority, the lanes of one priority in turns, the oldest first."""
        for level in Priority:
            lines = {
                lane: deque(t for t in self.lane(lane) if t.envelope.priority == level)
                for lane in lanes
            }
            while budget.room > 0 and any(lines.values()):
                open_ = (lane for lane, line in lines.items() if line)
                lane = min(open_, key=lambda name: self._served.get((name, level), 0))
                limit, line = limits.get(lane, Limit()), lines[lane]
                if self.next_start(lane, limit, now) > now or not budget.takes(line[0].isolation):
                    line.clear()
                    continue
                self._served[lane, level] = next(self._numbers)
                if limit.rate is not None:
                    start = max(self._full_at.get(lane, 0.0), now)
                    self._full_at[lane] = start + limit.rate.interval
                yield line.popleft()

    def next_start(self, lane: str, limit: Limit, now: float) -> float:
        """When a lane's limit lets the next task start: a bucket that a burst empties (GCRA)."""
        if limit.running is not None:
            places = (t.status for t in self.tasks.values() if t.lane == lane)
            if sum(status is Status.WORKING for status in places) >= limit.running:
                return now + _RECHECK
        if limit.rate is None:
            return -inf
        return self._full_at.get(lane, 0.0) - (limit.rate.burst - 1) * limit.rate.interval

    def lend(self, task: Task, worker: str, lease: float, now: float) -> None:
        task.status, task.due, task.worker = Status.WORKING, now + lease, worker
        task.token = next(self._numbers)
        task.dequeue_count += 1
        task.last_dequeue_time = now

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
            return Receipt.OK if self._without_trace.get(key) == lease.token else Receipt.GONE
        if task.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if self.held(lease, now) is None:
            is_put_back = isinstance(outcome, Requeue) and task.returned == lease.token
            is_said_again = task.token == lease.token and task.status is not Status.WORKING
            return Receipt.OK if is_put_back or is_said_again else Receipt.STALE
        task.failure = outcome.failure
        task.deaths = 0  # its run has ended by itself: it does not kill workers
        if isinstance(outcome, Finish):
            self._finish(task, outcome, now)
        else:
            self._requeue(task, outcome, now)
        return Receipt.OK

    def _finish(self, task: Task, outcome: Finish, now: float) -> None:
        if outcome.status is Status.COMPLETED or outcome.result:
            task.result = outcome.result
        self.ended.append((now, task.envelope.queue))
        while self.ended[0][0] <= now - _MINUTE:
            self.ended.popleft()
        self.end(task, outcome.status, outcome.result_ttl, now, is_dead=outcome.dead)

    def _requeue(self, task: Task, outcome: Requeue, now: float) -> None:
        task.returned = task.token
        task.tries += outcome.failed
        ctx = task.envelope.ctx if outcome.ctx is None else outcome.ctx
        timeout = task.envelope.timeout if outcome.timeout is None else outcome.timeout
        task.envelope = structs.replace(task.envelope, ctx=ctx, timeout=timeout)
        if outcome.delay > 0:
            self._wait(task, now + outcome.delay, now)
        else:
            self._come_back(task, now, front=outcome.front)

    def cancel(self, task: Task, result_ttl: float, now: float) -> bool:
        if task.status.is_final:
            return False
        if task.revoke is not None:
            task.revoke()
        task.failure = None
        self.end(task, Status.CANCELLED, self._ttl(task, result_ttl), now)
        return True

    def end(
        self, task: Task, status: Status, ttl: float, now: float, *, is_dead: bool = False
    ) -> None:
        """Make a task final, for `ttl` seconds, and a dead letter if it is to be one."""
        was_working = task.status is Status.WORKING
        task.status, task.due, task.release_time = status, now + ttl, now
        task.progress = task.revoke = None
        self._is_stirred = True  # where running tasks are limited, another one may start
        if is_dead:
            self._bury(task, now)
        if ttl <= 0:
            del self.tasks[task.key]
            if was_working and status is not Status.CANCELLED:
                self._without_trace[task.key] = task.token

    def _ttl(self, task: Task, default: float) -> float:
        return default if task.envelope.result_ttl is None else task.envelope.result_ttl

    # Dead letters

    def _bury(self, task: Task, now: float) -> None:
        self.letters.pop(task.key, None)
        self.letters[task.key] = (task.dead_letter(now), replace(task))
        if len(self.letters) > MAX_DEAD:
            for letter in self.dead_letters(task.envelope.queue, now)[MAX_DEAD:]:
                del self.letters[task.key[0], letter.id]

    def dead_letters(self, queue: str | None, now: float) -> list[DeadLetter]:
        """The letters of a queue or of all, the newest first."""
        letters = [letter for letter, _ in self.letters.values() if letter.time > now - DEAD_TTL]
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
        self.tasks[key] = task = replace(died, enqueue_time=now, tries=0, deaths=0)
        task.result = task.failure = task.release_time = None
        self._wait(task, now, now)
        return Published.CREATED

    # Schedules

    def fire(self, slot: ScheduleSlot, now: float) -> SlotReceipt:
        key = (namespace_of(slot.queue), slot.schedule)
        kept = self._slots.get(key)
        if kept is not None and (kept.due + _SLOT_TTL <= now or kept.slot > now + SLOT_AHEAD):
            kept = None
        own = kept if kept is not None and kept.spec == slot.spec else None
        if slot.after is None:
            if own is None:
                own = self._slots[key] = structs.replace(slot, slot=int(now))
            return SlotReceipt(own.slot)
        if kept is not None and own is None and now < kept.due + _MINUTE:
            return SlotReceipt(kept.slot, is_other=True)
        if own is not None and own.slot != slot.after:
            return SlotReceipt(own.slot)
        published = None if slot.envelope is None else self.publish(slot.envelope, now)
        if published is Published.FULL:
            return SlotReceipt(slot.after, published)
        self._slots[key] = slot
        return SlotReceipt(slot.slot, published)


@asynccontextmanager
async def step(store: Store) -> AsyncIterator[float]:
    """One atomic step, at one time."""
    await asyncio.sleep(0)  # a call over a network lets others run as well
    with store.lock:
        yield time.time()
        store.tell()
