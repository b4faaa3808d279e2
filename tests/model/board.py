"""Where the tasks of the reference are, and the steps they take from place to place."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf

from ltq.message import Delivery, Finish, Lease, Requeue
from ltq.options import DEFAULT_RESULT_TTL, Priority
from ltq.state import QueueStats, Status, TaskState
from tests.model.graveyard import Graveyard
from tests.model.tasks import Task, Tie


@dataclass
class Board:
    """All tasks of one namespace. Each queue is a lane of its own."""

    tie: Tie
    graveyard: Graveyard = field(default_factory=Graveyard)
    tasks: dict[str, Task] = field(default_factory=dict)
    ghosts: dict[str, Task] = field(default_factory=dict)
    """Tasks whose record is gone or unusable, until somebody comes across them."""
    lines: dict[tuple[str, Priority], list[str]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, dict[Status, int]] = field(default_factory=dict)
    """Tasks that ended and left no state: as what, by the token of which lease."""
    endings: set[str] = field(default_factory=set)
    """The keys of endings that nobody has carried on yet."""
    highest: dict[str, int] = field(default_factory=dict)
    """The highest token each id ever had, whatever became of it."""
    known: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    """Queues."""
    first: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By fingerprint, the first task with it, and until when others are duplicates."""
    adopted: dict[str, float] = field(default_factory=dict)
    """What was taken over from another store, by its mark, and until when that is known."""
    sent: int = 0
    """How many lives began, by a send or by a replay that found no state."""
    removed: int = 0
    moves: int = 0
    steps: int = 0
    """How many calls there were."""

    # Looking

    def of(self, status: Status, queue: str | None = None) -> list[Task]:
        """What is in a place, ghosts included."""
        return [
            task
            for task in chain(self.tasks.values(), self.ghosts.values())
            if task.status is status and queue in (None, task.queue)
        ]

    def find(self, task_id: str) -> Task | None:
        """A task, or its ghost."""
        return self.tasks.get(task_id) or self.ghosts.get(task_id)

    def half_broken(self, task_id: str) -> Task | None:
        """A ghost that still has its status and its token."""
        ghost = self.ghosts.get(task_id)
        return ghost if ghost is not None and ghost.broken == "task" else None

    def holds(self, lease: Lease) -> bool:
        """Whether a lease is the present one of a working task."""
        task = self.tasks.get(lease.id)
        return task is not None and task.status is Status.WORKING and task.token == lease.token

    def is_held(self, task_id: str, worker: str) -> bool:
        task = self.tasks.get(task_id)
        return task is not None and task.status is Status.WORKING and task.worker == worker

    def stats(self, queue: str) -> QueueStats:
        return QueueStats(
            queue=queue,
            pending=len(self.of(Status.PENDING, queue)),
            delayed=len(self.of(Status.DELAYED, queue)),
            working=len(self.of(Status.WORKING, queue)),
            dead=len(self.graveyard.of(queue)),
            by_priority={
                priority.name.lower(): sum(
                    task.envelope.priority is priority for task in self.of(Status.PENDING, queue)
                )
                for priority in Priority
            },
            paused=queue in self.paused,
        )

    def check_state(self, task_id: str, state: TaskState[bytes] | None) -> None:
        task = self.tasks.get(task_id)
        if task is not None and state is not None:
            task.check_state(state)
            return
        broken = task_id in self.ghosts  # half of it may still be shown
        assert broken or (task is None and state is None), (task, state)

    # Steps

    def remove(self, task: Task) -> None:
        """Forget a task, or its ghost."""
        self.tasks.pop(task.id, None)
        self.ghosts.pop(task.id, None)
        self.removed += 1

    def break_record(self, task: Task, kind: str) -> None:
        """Something took a task's record away: it is a ghost until it is found."""
        task.broken = kind
        self.ghosts[task.id] = self.tasks.pop(task.id)

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
        task.check_delivery(delivery)

    def _end(self, task: Task, outcome: Finish, now: float) -> None:
        task.deaths = 0
        if outcome.dead:
            self.graveyard.bury(task, outcome.status, task.error, now, self.steps)
        if outcome.status is Status.COMPLETED:
            task.result = outcome.result
        self._settle(task, outcome.status, outcome.result_ttl, now, by=task.token)

    def _requeue(self, task: Task, outcome: Requeue, now: float) -> None:
        if not outcome.is_void:
            task.deaths = 0
        task.tries += outcome.failed
        task.returned, task.front = task.token, outcome.front and outcome.delay <= 0
        if outcome.delay > 0:
            task.status, task.when = Status.DELAYED, now + outcome.delay
            task.number = self._next()
        else:
            self._return(task, front=outcome.front)

    def _return(self, task: Task, *, front: bool = False) -> None:
        """A task that somebody had is ready again, or one that nobody had becomes so."""
        task.status, task.when, task.progress, task.came = Status.PENDING, inf, None, True
        task.requeues += task.dequeues > 0
        line = self._line(task)
        line.insert(self._claimed_before(task, line) if front else len(line), task.id)

    def _claimed_before(self, task: Task, line: list[str]) -> int:
        """How many are in front that were requeued there as well, and were claimed earlier."""
        for position, task_id in enumerate(line):
            other = self.tasks.get(task_id) or self.half_broken(task_id)
            if other is None or not other.is_in_front:
                return position
            if (other.token, other.id) > (task.token, task.id):
                return position
        return len(line)

    def _recover(self, task: Task, now: float) -> bool:
        """Take a task from a dead worker; True if it was buried, not returned."""
        task.deaths += 1
        task.token += 1
        self.highest[task.id] = task.token
        most = task.envelope.max_deliveries
        if most is None or task.deaths < most:
            self._return(task)
            return False
        times = "once" if task.deaths == 1 else f"{task.deaths} times"
        task.error, task.progress = f"killed its worker {times}", None
        self.graveyard.bury(task, Status.REJECTED, task.error, now, self.steps)
        own = task.envelope.result_ttl
        self._settle(task, Status.REJECTED, DEFAULT_RESULT_TTL if own is None else own, now)
        return True

    def _lose(self, task: Task, now: float) -> None:
        """Come across a ghost."""
        self.graveyard.bury_broken(task, now, self.steps)
        self.remove(task)

    def _meet(
        self, lines: Sequence[tuple[Priority, list[str]]], found: set[str], now: float
    ) -> None:
        """Come across those ghosts of `found` that are in front."""
        for _, line in lines:
            while line and line[0] in found:
                found.discard(line[0])
                self._lose(self.ghosts[line.pop(0)], now)

    def _settle(
        self, task: Task, status: Status, ttl: float, now: float, *, by: int | None = None
    ) -> None:
        """Make a task final; `by`: the token of the outcome that did."""
        task.status, task.when, task.expires = status, inf, now + ttl
        if ttl <= 0:
            self._note_end(task, by or 0)
            self.remove(task)

    def _note_end(self, task: Task, by: int) -> None:
        """Remember by which outcome a task went, for calls that are repeated."""
        self.ended[task.id] = {task.status: by}
