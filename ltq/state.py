"""What a broker tells about tasks, queues and workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from ltq._text import cut
from ltq.codec import DEFAULT_SERIALIZER

R_co = TypeVar("R_co", covariant=True, default=Any)
T_co = TypeVar("T_co", covariant=True)


class Status(StrEnum):
    """The status of a task."""

    PENDING = "pending"
    """Waiting for a free worker."""

    DELAYED = "delayed"
    """Waiting for its due time: sent with a delay, or between two tries. Or waiting for other tasks
    of its workflow: then it has no due time."""

    WORKING = "working"
    """Claimed by a worker, which holds its lease."""

    COMPLETED = "completed"
    """Final: it returned a result."""

    FAILED = "failed"
    """Final: it raised an error and is not retried."""

    REJECTED = "rejected"
    """Final: by `RejectError`, or as too old or undecodable, or because it killed its workers."""

    CANCELLED = "cancelled"
    """Final: it was cancelled before it ended."""

    @property
    def is_final(self) -> bool:
        """True for COMPLETED, FAILED, REJECTED and CANCELLED: the status will not change again."""
        return self in _FINAL

    @property
    def is_dead(self) -> bool:
        """True for FAILED and REJECTED: the task has ended without success, and leaves a dead
        letter."""
        return self in _DEAD


HELD = 32_503_680_000.0
"""The due time of a task that waits for others: the year 3000. Its state has none."""

_FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.REJECTED, Status.CANCELLED})
_DEAD = frozenset({Status.FAILED, Status.REJECTED})


class Priority(IntEnum):
    """The levels of priority. The lowest number always goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running task is, according to its own reports."""

    current: float
    """How many units are done."""

    total: float | None = None
    """How many units there are; None if not known."""

    note: str = ""
    """A short text for people; beyond 16 KiB its middle is cut out, lone surrogates are escaped."""

    def __post_init__(self) -> None:
        if isinstance(self.note, str):  # otherwise it is refused where it is written
            object.__setattr__(self, "note", cut(self.note))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState(Generic[R_co]):
    """A task at one moment. Times are Unix seconds by the broker's clock, or None."""

    id: str
    task_name: str
    """`"worker:function"`."""

    queue: str
    status: Status
    priority: Priority = Priority.NORMAL
    tags: tuple[str, ...] = ()
    """Those that its task declared, and those of its send."""

    enqueue_time: float | None = None
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    """When it last went back, or became due."""

    release_time: float | None = None
    """When it became final."""

    due_time: float | None = None
    """DELAYED: when it will be PENDING, None if it waits for other tasks; else None."""

    dequeue_count: int = 0
    """How often a worker claimed it."""

    requeue_count: int = 0
    """How often it went back to its queue: for a retry, from a dead worker, or at a shutdown."""

    tries: int = 0
    """How many runs failed, the last one of a FAILED task included."""

    deaths: int = 0
    """How many workers died while they held it, since a run of it last ended by itself."""

    timeout: float | None = None
    """Seconds one run may take; None for no limit. It is what the send said, or what the task
    declares in the code that reads the state."""

    worker: str | None = None
    """The worker that holds it, or the last one that held it."""

    progress: Progress | None = None
    result: R_co | None = None
    serializer: str = DEFAULT_SERIALIZER
    """What the arguments, or at the end the result, are encoded with, by its name."""

    error: str | None = None
    """`"ValueError: text"` of the run that failed, or the reason of a rejection."""

    error_type: str | None = None
    """The error's class name, as text."""

    traceback: str | None = None
    """The traceback of the worker, as text."""

    items: int = 0
    """How many items its stream has, in the delivery that `dequeue_count` counts."""

    def __post_init__(self) -> None:
        if self.due_time is not None and self.due_time >= HELD:
            object.__setattr__(self, "due_time", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Some encoded items of a task's stream, in their order, of its last delivery."""

    attempt: int
    """The number of that delivery: 1, 2, …; 0 of a task that was never claimed."""

    first: int
    """How many items there were before these. Those that are not kept any more count, too."""

    items: tuple[bytes, ...]
    total: int
    """How many items there are so far, with those that are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetail(TaskState[bytes]):
    """A task with what was sent: what `broker.tasks` lists. The result is encoded."""

    body: bytes | None = None
    """The encoded arguments; None if they are not kept, as of a final task."""

    ctx: bytes = b""
    """JSON of the message's `ctx`; empty if there is none, and once the task is final."""

    max_tries: int | None = None
    """How many runs may fail; None if the send did not say, and once the task is final."""

    @classmethod
    def of(
        cls, state: TaskState[bytes], *, body: bytes | None, ctx: bytes, max_tries: int | None
    ) -> Self:
        """The detail of a task with this state."""
        known = {each.name: getattr(state, each.name) for each in fields(TaskState)}
        return cls(**known, body=body, ctx=ctx, max_tries=max_tries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T_co]):
    """Some of the items that match a query, and where the others begin."""

    items: tuple[T_co, ...]

    cursor: str | None
    """What to give to the next call of the same query; None at the end. It is text without
    meaning, and safe in a URL."""

    total: int | None
    """How many items match in all at this moment; None where that would cost a scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """How many tasks of a queue wait, run, and are dead."""

    queue: str
    pending: int
    delayed: int
    working: int
    dead: int
    rate: float = 0.0
    """Tasks per second that ended in a worker, averaged over the last minute."""

    rate_10s: float = 0.0
    """The same, averaged over the last ten seconds."""

    by_priority: Mapping[str, int] = field(default_factory=dict)
    """The pending tasks by their priority: always "high", "normal" and "low"."""

    oldest: float | None = None
    """Seconds that the oldest due task has waited; None if none waits. It counts from when the task
    was sent or requeued; of a delayed one, and of a retry, from its due time. Of the pending tasks
    the first ones of each lane are looked at."""

    overdue: int = 0
    """Working tasks whose lease ended at least a minute ago: no worker took them over."""

    unserved: Mapping[str, int] = field(default_factory=dict)
    """By task name, pending tasks that no live worker knows: they wait in lanes of their own. The
    name is followed by `/` and the serializer if that may be what is not known."""

    unserved_oldest: float | None = None
    """Seconds that the oldest of these has waited; None if there is none."""

    served_ago: float | None = field(default=None, compare=False)
    """Seconds since a live consumer last served the queue: 0 while one does; None if none was seen
    within a day."""

    paused: bool = False
    """Whether nothing of the queue is claimed until it is resumed."""

    unswept: float | None = field(default=None, compare=False)
    """Seconds since the first delayed task became due, or the first lease ended, that no consumer
    has swept; None if there is none."""

    @property
    def is_served(self) -> bool:
        """Whether a live consumer serves the queue."""
        return self.served_ago == 0.0


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, of many tasks, in seconds.

    The percentiles are read from a histogram, so each is up to a fifth (19 %) larger or smaller
    than the exact one, or up to 0.1 ms. `count` and `sum` are exact to a microsecond a task.
    """

    count: int = 0
    sum: float = 0.0
    p50: float | None = None
    """Half of them took at most this long. None if `count` is 0."""

    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What happened in a queue within one minute, from `broker.history(queue)`."""

    time: float
    """When it began: Unix seconds by the broker's clock, a multiple of 60."""

    completed: int = 0
    failed: int = 0
    rejected: int = 0
    cancelled: int = 0
    """Tasks that ended with this status, in a worker or elsewhere. The other three are alike."""

    retried: int = 0
    """Runs that ended with another one to come, as after an error. What a worker gave back at its
    shutdown, or left behind when it died, is not among them."""

    wait: Durations = Durations()
    """How long the tasks that were claimed in this minute had waited: from when they were sent, put
    back or due, whichever was last, until the claim."""

    run: Durations = Durations()
    """How long the runs took that ended in this minute: from the claim to the outcome. That is one
    for each outcome of a worker, also one that put its task back."""


class WorkerStatus(StrEnum):
    """Whether a worker lives."""

    ALIVE = "alive"
    """It announced itself within its last lease."""

    SILENT = "silent"
    """It did not: it was killed, it is paused, or it does not reach the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """One run of a worker, or a consumer without a worker that holds tasks.

    Of a consumer without a worker only its name and its tasks are known. It is silent if all its
    leases have ended. Times are Unix seconds by the broker's clock.
    """

    name: str
    """That of its consumer: the beginning of its host, its process id, and four digits."""

    running: tuple[str, ...] = ()
    """Ids of the tasks it holds, sorted."""

    task_names: tuple[str, ...] = ()
    """Names of these tasks, sorted, each once."""

    since: float | None = None
    """When it claimed the one it has held longest."""

    status: WorkerStatus = WorkerStatus.ALIVE
    host: str | None = None
    pid: int | None = None
    version: str | None = None
    """The version of LTQ that it runs."""

    queues: tuple[str, ...] = ()
    """The queues that it serves, sorted."""

    concurrency: int | None = None
    """How many tasks it runs at once at most."""

    started: float | None = None
    """When it began."""

    seen: float | None = None
    """When it last announced itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """How one run of a worker is doing, from `worker.health()`."""

    worker: str
    claimed_ago: float
    """Seconds since it last claimed, or since it last had room for a claim."""

    renewed_ago: float
    """Seconds since its leases were last renewed; beyond `lease` they are lost."""

    lease: float
    """Seconds that a lease lasts."""

    running: int
    """How many tasks run."""

    is_full: bool
    """Whether it claims nothing because it runs as many tasks as it may."""

    is_stopping: bool
    """Whether it was told to stop: it claims nothing more."""
