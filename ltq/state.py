"""What a broker tells about tasks, queues and workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic

from typing_extensions import TypeVar

from ltq._text import cut

R_co = TypeVar("R_co", covariant=True, default=Any)


class Status(StrEnum):
    """The status of a task."""

    PENDING = "pending"
    """Waiting for a free worker."""

    DELAYED = "delayed"
    """Waiting for its due time: sent with a delay, or between two tries."""

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


_FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.REJECTED, Status.CANCELLED})


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
    enqueue_time: float | None = None
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    release_time: float | None = None
    """When it became final."""

    due_time: float | None = None
    """DELAYED: when it will be PENDING; else None."""

    dequeue_count: int = 0
    """How often a worker claimed it."""

    requeue_count: int = 0
    """How often it went back to its queue: for a retry, from a dead worker, or at a shutdown."""

    timeout: float | None = None
    """Seconds one run may take; None for no limit."""

    worker: str | None = None
    """The worker that holds it, or the last one that held it."""

    progress: Progress | None = None
    result: R_co | None = None
    error: str | None = None
    """`"ValueError: text"` of the run that failed, or the reason of a rejection."""

    error_type: str | None = None
    """The error's class name, as text."""

    traceback: str | None = None
    """The traceback of the worker, as text."""


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

    by_priority: Mapping[str, int] = field(default_factory=dict)
    """The pending tasks by their priority: "high", "normal", "low"."""

    oldest: float | None = None
    """Seconds that the oldest pending task has waited; None if no task is pending."""

    overdue: int = 0
    """Working tasks whose lease ended at least a minute ago: no worker took them over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A consumer that holds tasks: one run of a worker."""

    name: str
    running: tuple[str, ...]
    """Ids of the tasks it holds, sorted."""

    task_names: tuple[str, ...]
    """Names of these tasks, sorted, each once."""

    since: float | None = None
    """When it claimed the one it has held longest: Unix seconds by the broker's clock."""


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
