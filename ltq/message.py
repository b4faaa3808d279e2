"""The message that users and middleware see, and its forms at the broker's seam."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic

import msgspec
from typing_extensions import TypeVar

from ltq._names import new_id as new_id
from ltq.options import DEFAULT_RESULT_TTL, Priority, SendConfig
from ltq.state import Status

R_co = TypeVar("R_co", covariant=True, default=Any)


class Message(msgspec.Struct, Generic[R_co], frozen=True):
    """One call of a task: made by `task.message(...)`, sent later, seen by middleware.

    It is frozen, except for `ctx`: a dict of JSON values that middleware may write to, and that
    survives retries.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    task_name: str
    ctx: dict[str, Any] = msgspec.field(default_factory=dict)
    id: str = msgspec.field(default_factory=new_id)
    options: SendConfig = SendConfig()
    """The options of this send. Once claimed, only `max_tries` and `result_ttl` are known."""
    tries: int = 0
    """How many runs have failed before this one."""
    enqueue_time: float | None = None
    """When it was sent (Unix seconds), once claimed."""
    dequeue_time: float | None = None
    """When it was claimed (Unix seconds, by the same clock), once claimed."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A task on its way to the broker. Durations are seconds, times Unix seconds."""

    id: str
    queue: str
    task_name: str
    body: bytes
    """The encoded arguments; the broker does not look inside."""
    lane: str = ""
    """Where in the queue it waits; empty: in the queue's own lane (see `lane_of`)."""
    priority: Priority = Priority.NORMAL
    delay: float = 0.0
    eta: float | None = None
    timeout: float | None = None
    max_tries: int | None = None
    result_ttl: float | None = None
    max_pending: int | None = None
    max_deliveries: int | None = None
    fingerprint: str = ""
    """Tasks with the same text are the same, for `unique_for` seconds."""
    unique_for: float = 0.0
    has_new_id: bool = False
    """Whether the id was made for this envelope, so that no earlier task can have it."""
    ctx: bytes = b""
    """JSON of the message's `ctx`, or empty."""


def lane_of(queue: str, task_name: str, *, limited: bool) -> str:
    """The lane that a task waits in: its queue's, or its own.

    A limited task that shares its queue waits in a lane of its own, so that its limit does not hold
    up other tasks.
    """
    return f"{queue}/{task_name}" if limited and queue != task_name else queue


class Published(StrEnum):
    """What the broker did with an envelope."""

    CREATED = "created"
    EXISTS = "exists"
    """A task with this id is there already: nothing was enqueued."""
    ID_CONFLICT = "id_conflict"
    """Another task has this id: nothing was enqueued."""
    DUPLICATE = "duplicate"
    """A task with this `fingerprint` was sent recently: nothing was enqueued. See `first`."""
    FULL = "full"
    """`max_pending` tasks wait in the queue: nothing was enqueued."""
    GONE = "gone"
    """Only of a replay: there is no dead letter with this id any more."""
    EMPTY = "empty"
    """Only of a replay: the dead letter has no body, so there is nothing to enqueue."""


class Lease(msgspec.Struct, frozen=True):
    """The right to end one delivery. It is void once another worker has claimed the task."""

    id: str
    queue: str
    token: int
    """A counter of the task that grows with every claim."""


class Delivery(msgspec.Struct, frozen=True):
    """A task as claimed from the broker."""

    lease: Lease
    task_name: str
    body: bytes
    ctx: bytes
    tries: int
    dequeue_count: int
    deaths: int
    """How many workers died while they held it."""
    enqueue_time: float
    dequeue_time: float
    timeout: float | None
    max_tries: int | None
    result_ttl: float | None
    isolation: int | None = None
    """Most tasks that its process should run at once, this one included; None: no limit."""


class Failure(msgspec.Struct, frozen=True):
    """An error as data: never pickled."""

    type: str
    """Class name of the error, empty for a plain reason."""
    text: str
    """What `TaskState.error` shows."""
    traceback: str | None = None


class Finish(msgspec.Struct, frozen=True):
    """Record that a delivery is over: the task becomes final."""

    lease: Lease
    status: Status
    result: bytes = b""
    failure: Failure | None = None
    result_ttl: float = DEFAULT_RESULT_TTL
    dead: bool = False
    """Keep the message among the dead letters of its queue."""


class Requeue(msgspec.Struct, frozen=True):
    """Record that a delivery is over and the task is to run again."""

    lease: Lease
    delay: float = 0.0
    failed: bool = False
    """Whether this run uses up a try."""
    front: bool = False
    """Go before the waiting tasks, not behind them. Only without a delay."""
    ctx: bytes | None = None
    """The message's new `ctx`, or None to leave it."""
    timeout: float | None = None
    """A new timeout, or None to leave it."""
    failure: Failure | None = None


Outcome = Finish | Requeue


class Receipt(StrEnum):
    """The broker's answer to an outcome."""

    OK = "ok"
    """Recorded, now or by an earlier call whose reply was lost."""
    STALE = "stale"
    """The lease was lost: another worker has, or had, the task. Nothing was changed."""
    CANCELLED = "cancelled"
    """The task has been cancelled. Nothing was changed."""
    GONE = "gone"
    """There is no such task any more. Nothing was changed."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A task that failed or was rejected, kept to be inspected and to be enqueued again.

    Times are Unix seconds by the broker's clock.
    """

    id: str
    task_name: str
    queue: str
    status: Status
    """FAILED or REJECTED."""
    body: bytes | None
    """The encoded arguments. None if the stored task was no task at all: such a letter cannot be
    replayed."""
    error: str | None = None
    """`"ValueError: text"` of the last run, or the reason of a rejection."""
    error_type: str | None = None
    traceback: str | None = None
    time: float
    """When it died."""
    enqueue_time: float | None = None
    tries: int = 0
    """How many runs failed, the last one included."""
    dequeue_count: int = 0
    requeue_count: int = 0
    deaths: int = 0
    """How many workers died while they held it."""
    worker: str | None = None
    """The worker that held it last."""


class Swept(msgspec.Struct, frozen=True):
    """Counts of one sweep."""

    recovered: int = 0
    """Tasks of dead workers that are pending again."""
    promoted: int = 0
    """Delayed tasks that became due and are pending now."""
    buried: int = 0
    """Tasks that went to the dead letters, having killed too many workers."""
    lost: int = 0
    """Ids whose task was gone, after an eviction or a partial restore. A dead letter says so."""
