"""One task as the memory broker keeps it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from msgspec import structs

from ltq.broker.isolation import isolation_of
from ltq.message import DeadLetter, Delivery, Envelope, Failure, Lease
from ltq.state import Progress, Status, TaskState


@dataclass(slots=True, eq=False)
class Record:
    """A task in whatever state. Changed only under the store's lock."""

    envelope: Envelope
    """As sent; a requeue may replace its `ctx` and `timeout`, the end drops `body` and `ctx`."""
    enqueue_time: float
    status: Status = Status.PENDING
    token: int = 0
    returned: int = 0
    """The token of the last lease it was put back with."""
    tries: int = 0
    deaths: int = 0
    dequeue_count: int = 0
    requeue_count: int = 0
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    release_time: float | None = None
    expires: float = inf
    """When the final state goes."""
    worker: str | None = None
    revoke: Callable[[str], None] | None = None
    """Tells the holder that its task was cancelled; safe to call from any thread."""
    progress: Progress | None = None
    result: bytes | None = None
    failure: Failure | None = None

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def queue(self) -> str:
        return self.envelope.queue

    @property
    def lane(self) -> str:
        return self.envelope.lane or self.envelope.queue

    def lease(self) -> Lease:
        """The present right to end the task."""
        return Lease(self.id, self.queue, self.token)

    def delivery(self) -> Delivery:
        """What the worker that claimed the task gets."""
        envelope = self.envelope
        return Delivery(
            lease=self.lease(),
            task_name=envelope.task_name,
            body=envelope.body,
            ctx=envelope.ctx,
            tries=self.tries,
            dequeue_count=self.dequeue_count,
            deaths=self.deaths,
            enqueue_time=self.enqueue_time,
            dequeue_time=self.last_dequeue_time or self.enqueue_time,
            timeout=envelope.timeout,
            max_tries=envelope.max_tries,
            result_ttl=envelope.result_ttl,
            isolation=self.isolation,
        )

    @property
    def isolation(self) -> int | None:
        """How many tasks its process should run at most."""
        return isolation_of(self.deaths, self.envelope.max_deliveries)

    def state(self) -> TaskState[bytes]:
        """What everybody may see of the task."""
        failure = self.failure
        return TaskState(
            id=self.id,
            task_name=self.envelope.task_name,
            queue=self.queue,
            status=self.status,
            enqueue_time=self.enqueue_time,
            last_dequeue_time=self.last_dequeue_time,
            last_requeue_time=self.last_requeue_time,
            release_time=self.release_time,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            timeout=self.envelope.timeout,
            worker=self.worker,
            progress=self.progress,
            result=self.result,
            error=None if failure is None else failure.text,
            error_type=None if failure is None else failure.type or None,
            traceback=None if failure is None else failure.traceback,
        )

    def let_go(self) -> None:
        """Drop what belongs to a run that is over."""
        self.progress = None
        self.revoke = None

    def strip(self) -> None:
        """Drop what only a run to come would need."""
        self.envelope = structs.replace(self.envelope, body=b"", ctx=b"")


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: a task as it was when it died."""

    envelope: Envelope
    """As sent, but due at once."""
    status: Status
    time: float
    enqueue_time: float
    token: int
    tries: int
    deaths: int
    dequeue_count: int
    requeue_count: int
    last_dequeue_time: float | None
    last_requeue_time: float | None
    worker: str | None
    failure: Failure | None

    @classmethod
    def of(cls, record: Record, status: Status, now: float) -> "Letter":
        return cls(
            envelope=structs.replace(record.envelope, delay=0.0, eta=None),
            status=status,
            time=now,
            enqueue_time=record.enqueue_time,
            token=record.token,
            tries=record.tries + (status is Status.FAILED),
            deaths=record.deaths,
            dequeue_count=record.dequeue_count,
            requeue_count=record.requeue_count,
            last_dequeue_time=record.last_dequeue_time,
            last_requeue_time=record.last_requeue_time,
            worker=record.worker,
            failure=record.failure,
        )

    def shown(self) -> DeadLetter:
        """What everybody may see of it."""
        failure = self.failure
        return DeadLetter(
            id=self.envelope.id,
            task_name=self.envelope.task_name,
            queue=self.envelope.queue,
            status=self.status,
            body=self.envelope.body,
            error=None if failure is None else failure.text,
            error_type=None if failure is None else failure.type or None,
            traceback=None if failure is None else failure.traceback or None,
            time=self.time,
            enqueue_time=self.enqueue_time,
            tries=self.tries,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            deaths=self.deaths,
            worker=self.worker,
        )

    def record(self, now: float) -> Record:
        """The task once more, as if it was sent now; its counts and its token go on."""
        return Record(
            self.envelope,
            enqueue_time=now,
            token=self.token,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            last_dequeue_time=self.last_dequeue_time,
            last_requeue_time=self.last_requeue_time,
            worker=self.worker,
        )
