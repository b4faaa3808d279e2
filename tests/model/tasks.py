"""A task and a dead letter as they should be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from ltq.message import DeadLetter, Delivery, Envelope
from ltq.options import DEFAULT_MAX_DELIVERIES
from ltq.state import Progress, Status, TaskState

GONE = "the task's data is missing"

Breakage = str
"""What became of its record: `gone`, `string` (no hash), `status`, `task` (without that field)."""


@dataclass
class Task:
    """A task as it should be."""

    envelope: Envelope
    number: int
    """Of its last move: the order in which tasks were postponed or leased."""
    sent: float = 0.0
    """When it was sent, or last replayed."""
    born: int = 0
    """The number of its sending; a replay is no new one."""
    status: Status = Status.PENDING
    when: float = inf
    """When it is due, or its lease ends."""
    expires: float = inf
    token: int = 0
    returned: int = 0
    """The token of the last lease it was requeued with."""
    front: bool = False
    """Whether that was to the front of its line."""
    tries: int = 0
    deaths: int = 0
    dequeues: int = 0
    requeues: int = 0
    came: bool = False
    """Whether it became ready once more: it was requeued, or due."""
    worker: str | None = None
    progress: Progress | None = None
    items: tuple[bytes, ...] = ()
    """The items of its stream that are kept."""
    items_total: int = 0
    items_of: int = 0
    """The delivery that yielded them."""
    result: bytes | None = None
    error: str | None = None
    replay: str | None = None
    """The call that enqueued it again."""
    broken: Breakage | None = None
    moment: float | None = None
    """When it was sent, by the broker's clock; None until the broker has told it."""

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def queue(self) -> str:
        return self.envelope.queue

    @property
    def stamp(self) -> str:
        """When it was sent, as a parcel tells it."""
        return f"{self.moment or 0.0:.6f}"

    @property
    def keeps_arguments(self) -> bool:
        """Whether what it needs to run again is there, now that it is final."""
        if self.envelope.keep_body is not None:
            return self.envelope.keep_body
        return self.status in (Status.FAILED, Status.REJECTED)

    @property
    def streamed(self) -> int:
        """How many items its last delivery has yielded."""
        return self.items_total if self.items_of == self.dequeues else 0

    def append(self, first: int, items: list[bytes], most: int) -> None:
        """Add items that come behind the first ones of this delivery."""
        if self.items_of != self.dequeues or first > self.items_total:
            self.items, self.items_total, self.items_of = (), first, self.dequeues
        new = items[self.items_total - first :]
        if new:
            self.items = (*self.items, *new)[-most:]
            self.items_total += len(new)

    @property
    def is_in_front(self) -> bool:
        """Whether it waits at the front of its line, where it was requeued."""
        return self.front and self.returned == self.token

    @property
    def isolation(self) -> float:
        """How many tasks may run beside it, with itself."""
        if self.deaths <= 0:
            return inf
        most = self.envelope.max_deliveries or DEFAULT_MAX_DELIVERIES
        return 10.0 ** max(0, most - 1 - self.deaths)

    def check_state(self, state: TaskState[bytes]) -> None:
        """Compare with what everybody may see."""
        seen = (state.status, state.queue, state.worker, state.dequeue_count, state.requeue_count)
        assert seen == (self.status, self.queue, self.worker, self.dequeues, self.requeues)
        assert self.moment in (None, state.enqueue_time), self.id
        self.moment = state.enqueue_time
        assert state.deaths == self.deaths, self.id
        assert state.tries == self.tries + (self.status is Status.FAILED), self.id
        sent = self.envelope
        assert (state.priority, state.tags) == (sent.priority, sent.tags), self.id
        assert state.items == self.streamed, self.id
        told = (state.progress, state.result, state.error)
        assert told == (self.progress, self.result, self.error), self.id
        assert (state.release_time is not None) == self.status.is_final
        assert (state.last_dequeue_time is not None) == (self.dequeues > 0)
        assert (state.last_requeue_time is not None) == self.came

    def check_delivery(self, delivery: Delivery) -> None:
        """Compare with what its worker got."""
        told = (delivery.dequeue_count, delivery.tries, delivery.deaths, delivery.body)
        assert told == (self.dequeues, self.tries, self.deaths, self.envelope.body)
        assert delivery.tags == self.envelope.tags
        lease = delivery.lease
        assert (lease.id, lease.queue, lease.token) == (self.id, self.queue, self.token)
        assert (delivery.isolation or inf) == self.isolation


Tie = Callable[[Task], str | int]
"""Which of two tasks with the same time goes first."""


@dataclass
class Letter:
    """A dead letter as it should be."""

    task: Task
    """As it was when it died."""
    status: Status
    error: str | None
    time: float
    step: int
    """Of the burial: letters of one step may be in any order."""
    replay: str | None = None
    aged: float = 0.0
    """Seconds that it was made older by hand."""
    moment: float | None = None
    """When its task died, by the broker's clock; None until the broker has told it."""
    is_moved: bool = False
    """Whether it came from another store."""
    body: bytes | None = field(default=None)
    name: str = ""

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def queue(self) -> str:
        return self.task.queue

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to enqueue."""
        return self.body is None or not self.name

    def check(self, seen: DeadLetter) -> None:
        """Compare with what everybody may see."""
        assert (seen.id, seen.queue, seen.status) == (self.id, self.queue, self.status)
        assert self.moment is None or abs(self.moment - seen.time) < 1e-5, self.id
        self.moment = seen.time
        assert (seen.task_name, seen.body, seen.error) == (self.name, self.body, self.error)
        task = self.task
        counts = (seen.dequeue_count, seen.requeue_count, seen.deaths, seen.worker)
        assert counts == (task.dequeues, task.requeues, task.deaths, task.worker), self.id
        assert seen.tries == task.tries + (self.status is Status.FAILED)
        assert self.is_empty or seen.tags == task.envelope.tags
