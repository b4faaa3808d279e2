"""What a broker should do, in plain Python: a dict of tasks, and lines where they wait."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from ltq.message import (
    Delivery,
    Envelope,
    Finish,
    Lease,
    Outcome,
    Published,
    Receipt,
    Requeue,
    Swept,
)
from ltq.options import DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL, Priority
from ltq.state import Progress, QueueStats, Status, TaskState


@dataclass
class Task:
    """A task as it should be."""

    envelope: Envelope
    number: int
    """Of its last move: the order in which tasks were postponed or leased."""
    status: Status = Status.PENDING
    when: float = inf
    """When it is due, or its lease ends."""
    expires: float = inf
    token: int = 0
    tries: int = 0
    deaths: int = 0
    dequeues: int = 0
    requeues: int = 0
    worker: str | None = None
    progress: Progress | None = None
    result: bytes | None = None
    error: str | None = None

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def queue(self) -> str:
        return self.envelope.queue


Tie = Callable[[Task], str | int]
"""Which of two tasks with the same time goes first."""


@dataclass
class Model:
    """All tasks of one namespace. Each queue is a lane of its own."""

    tie: Tie
    tasks: dict[str, Task] = field(default_factory=dict)
    lines: dict[tuple[str, Priority], list[str]] = field(default_factory=lambda: defaultdict(list))
    dead: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    highest: dict[str, int] = field(default_factory=dict)
    """The highest token each id ever had, whatever became of it."""
    known: set[str] = field(default_factory=set)
    sent: int = 0
    removed: int = 0
    moves: int = 0

    # Looking

    def of(self, status: Status, queue: str | None = None) -> list[Task]:
        return [
            task
            for task in self.tasks.values()
            if task.status is status and queue in (None, task.queue)
        ]

    def holds(self, lease: Lease) -> bool:
        """Whether a lease is the present one of a working task."""
        task = self.tasks.get(lease.id)
        return task is not None and task.status is Status.WORKING and task.token == lease.token

    def stats(self, queue: str) -> QueueStats:
        return QueueStats(
            queue=queue,
            pending=len(self.of(Status.PENDING, queue)),
            delayed=len(self.of(Status.DELAYED, queue)),
            working=len(self.of(Status.WORKING, queue)),
            dead=len(self.dead[queue]),
        )

    def check_state(self, task_id: str, state: TaskState[bytes] | None) -> None:
        task = self.tasks.get(task_id)
        if task is None or state is None:
            assert task is None and state is None, (task, state)  # noqa: PT018
            return
        seen = (state.status, state.queue, state.worker, state.dequeue_count, state.requeue_count)
        assert seen == (task.status, task.queue, task.worker, task.dequeues, task.requeues)
        told = (state.progress, state.result, state.error)
        assert told == (task.progress, task.result, task.error), task_id
        assert (state.release_time is not None) == task.status.is_final
        assert (state.last_dequeue_time is not None) == (task.dequeues > 0)
        assert (state.last_requeue_time is not None) == (task.requeues > 0)

    # What is asked of it

    def publish(self, envelope: Envelope, now: float) -> Published:
        if envelope.id in self.tasks:
            return Published.EXISTS
        limit = inf if envelope.max_pending is None else envelope.max_pending
        waiting = self.of(Status.PENDING, envelope.queue) + self.of(Status.DELAYED, envelope.queue)
        if len(waiting) >= limit:
            return Published.FULL
        task = self.tasks[envelope.id] = Task(envelope, self._next())
        self.known.add(envelope.id)
        self.sent += 1
        if envelope.delay > 0:
            task.status, task.when = Status.DELAYED, now + envelope.delay
        else:
            self._line(task).append(task.id)
        return Published.CREATED

    def ready(self, queues: Sequence[str]) -> int:
        return sum(len(self.lines[queue, level]) for queue in queues for level in Priority)

    def take(
        self, queues: Sequence[str], deliveries: Sequence[Delivery], worker: str, end: float
    ) -> None:
        """Each in turn must be the first of a line, of the best level there is."""
        for delivery in deliveries:
            level = min(p for p in Priority if any(self.lines[queue, p] for queue in queues))
            heads = [self.lines[queue, level][:1] for queue in queues]
            assert [delivery.lease.id] in heads, (delivery.lease.id, level, heads)
            task = self.tasks[delivery.lease.id]
            self._line(task).remove(task.id)
            self._lend(task, delivery, worker, end)

    def finish(self, outcome: Outcome, now: float) -> Receipt:
        task = self.tasks.get(outcome.lease.id)
        if task is None:
            return Receipt.GONE
        if task.status is Status.CANCELLED:
            return Receipt.CANCELLED
        if task.token != outcome.lease.token:
            return Receipt.STALE
        if task.status is Status.WORKING:
            task.error = None if outcome.failure is None else outcome.failure.text
            task.progress = None
            if isinstance(outcome, Finish):
                self._end(task, outcome, now)
            else:
                self._requeue(task, outcome, now)
        return Receipt.OK

    def renew(self, lease: Lease, end: float) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].when = end
            self.tasks[lease.id].number = self._next()
        return self.holds(lease)

    def show(self, lease: Lease, progress: Progress) -> bool:
        if self.holds(lease):
            self.tasks[lease.id].progress = progress
        return self.holds(lease)

    def cancel(self, task_id: str, result_ttl: float, now: float) -> bool | None:
        """None: there is no such task."""
        task = self.tasks.get(task_id)
        if task is None:
            return None
        if task.status.is_final:
            return False
        if task.status is Status.PENDING:
            self._line(task).remove(task_id)
        task.progress = task.error = None
        own = task.envelope.result_ttl
        self._settle(task, Status.CANCELLED, result_ttl if own is None else own, now)
        return True

    def clear(self, queue: str) -> int:
        waiting = self.of(Status.PENDING, queue) + self.of(Status.DELAYED, queue)
        for task in waiting:
            self.remove(task)
        for level in Priority:
            self.lines[queue, level].clear()
        return len(waiting)

    def sweep(self, now: float) -> Swept:
        promoted = self._overdue(Status.DELAYED, now)
        for task in promoted:
            self._return(task)
        lost = self._overdue(Status.WORKING, now)
        buried = sum(self._recover(task, now) for task in lost)
        return Swept(recovered=len(lost) - buried, promoted=len(promoted), buried=buried)

    def purge(self, now: float) -> None:
        """Final states whose time is over."""
        for task in [task for task in self.tasks.values() if task.expires <= now]:
            self.remove(task)

    def remove(self, task: Task) -> None:
        del self.tasks[task.id]
        self.removed += 1

    # Steps of the above

    def _next(self) -> int:
        self.moves += 1
        return self.moves

    def _line(self, task: Task) -> list[str]:
        return self.lines[task.queue, task.envelope.priority]

    def _overdue(self, status: Status, now: float) -> list[Task]:
        found = [task for task in self.of(status) if task.when <= now]
        return sorted(found, key=lambda task: (task.when, self.tie(task)))

    def _lend(self, task: Task, delivery: Delivery, worker: str, end: float) -> None:
        token = delivery.lease.token
        assert token > self.highest.get(task.id, 0), "a token did not grow"
        self.highest[task.id] = task.token = token
        task.status, task.worker, task.when = Status.WORKING, worker, end
        task.dequeues += 1
        task.number = self._next()
        self.check_delivery(task, delivery)

    def check_delivery(self, task: Task, delivery: Delivery) -> None:
        told = (delivery.dequeue_count, delivery.tries, delivery.deaths, delivery.body)
        assert told == (task.dequeues, task.tries, task.deaths, task.envelope.body)
        lease = delivery.lease
        assert (lease.id, lease.queue, lease.token) == (task.id, task.queue, task.token)

    def _end(self, task: Task, outcome: Finish, now: float) -> None:
        if outcome.dead:
            self.dead[task.queue].add(task.id)
        if outcome.status is Status.COMPLETED:
            task.result = outcome.result
        self._settle(task, outcome.status, outcome.result_ttl, now)

    def _requeue(self, task: Task, outcome: Requeue, now: float) -> None:
        task.tries += outcome.failed
        if outcome.delay > 0:
            task.status, task.when = Status.DELAYED, now + outcome.delay
            task.number = self._next()
        else:
            self._return(task, front=outcome.front)

    def _return(self, task: Task, *, front: bool = False) -> None:
        task.status, task.when, task.progress = Status.PENDING, inf, None
        task.requeues += 1
        line = self._line(task)
        line.insert(0 if front else len(line), task.id)

    def _recover(self, task: Task, now: float) -> bool:
        task.deaths += 1
        task.token += 1
        self.highest[task.id] = task.token
        if task.deaths < (task.envelope.max_deliveries or DEFAULT_MAX_DELIVERIES):
            self._return(task)
            return False
        times = "once" if task.deaths == 1 else f"{task.deaths} times"
        task.error, task.progress = f"killed its worker {times}", None
        self.dead[task.queue].add(task.id)
        own = task.envelope.result_ttl
        self._settle(task, Status.REJECTED, DEFAULT_RESULT_TTL if own is None else own, now)
        return True

    def _settle(self, task: Task, status: Status, ttl: float, now: float) -> None:
        task.status, task.when, task.expires = status, inf, now + ttl
        if ttl <= 0:
            self.remove(task)
