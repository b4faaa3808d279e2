"""One task as a store keeps it, alive or dead."""

from copy import copy
from dataclasses import dataclass
from math import inf

from msgspec import structs

from ltq.broker.flows import is_held
from ltq.message import DeadLetter, Delivery, Envelope, Failure, Lease, kind_of
from ltq.state import Progress, Status, TaskDetail, TaskState

_WORKING = Status.WORKING  # Python 3.11 takes as long to look up a member as for three calls


def waiting_since(enqueue_time: float, last_requeue_time: float | None) -> float:
    """Since when a ready task waits: when it was sent, requeued or due."""
    return enqueue_time if last_requeue_time is None else max(enqueue_time, last_requeue_time)


@dataclass(slots=True, eq=False)
class Record:
    """A task in any state. Only rules change it, and only within a step.

    Only `Records.place` sets `status` and `when`. After any other change a rule places or saves the
    record.
    """

    envelope: Envelope
    """As sent. A requeue may replace `ctx` and `timeout`. The end drops `body` and `ctx`, unless
    they are kept, and names the serializer of the result."""
    enqueue_time: float
    status: Status = Status.PENDING
    when: float = inf
    """DELAYED: when it is due. WORKING: when its lease ends. Final: when its state expires."""
    token: int = 0
    returned: int = 0
    """The token of the last lease that put it back."""
    front: bool = False
    """Whether that was to the front of its lane."""
    tries: int = 0
    deaths: int = 0
    dequeue_count: int = 0
    requeue_count: int = 0
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    release_time: float | None = None
    worker: str | None = None
    progress: Progress | None = None
    result: bytes | None = None
    failure: Failure | None = None
    keeps_body: bool = False
    """Final: whether the arguments are still there, for another task."""
    body_serializer: str | None = None
    """Final: what the arguments are encoded with, if the envelope names that of the result."""
    items: int = 0
    """How many items the stream of one delivery has."""
    items_of: int = 0
    """The `dequeue_count` of that delivery; 0 if there never was an item."""

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def queue(self) -> str:
        return self.envelope.queue

    @property
    def lane(self) -> str:
        return self.envelope.lane or self.envelope.queue

    @property
    def kind(self) -> str:
        """What a consumer has to know to run it."""
        return kind_of(self.envelope.task_name, self.envelope.serializer)

    @property
    def waits_since(self) -> float:
        """Since when it waits, if it is ready."""
        return waiting_since(self.enqueue_time, self.last_requeue_time)

    @property
    def is_in_front(self) -> bool:
        """Whether it waits at the front of its lane, where its last lease put it back."""
        return self.front and self.returned == self.token and self.status is Status.PENDING

    @property
    def streamed(self) -> int:
        """How many items its last delivery has yielded."""
        return self.items if self.items_of == self.dequeue_count else 0

    def is_expired(self, now: float) -> bool:
        """Whether it is final and its state has been kept long enough."""
        return self.when <= now and self.status.is_final

    @property
    def waits_for_others(self) -> bool:
        """Whether it waits for results of other tasks, and not for its time."""
        return self.status is Status.DELAYED and is_held(self.when)

    def is_held_by(self, lease: Lease) -> bool:
        """Whether a lease still holds it."""
        return self.status is _WORKING and self.token == lease.token

    def delivery(self, isolation: int | None) -> Delivery:
        """What the worker that claimed the task gets. `isolation` is how many may run beside it."""
        envelope = self.envelope
        return Delivery(  # by position: to look for sixteen names takes five times as long
            Lease(envelope.id, envelope.queue, self.token),
            envelope.task_name,
            envelope.body,
            envelope.ctx,
            self.tries,
            self.dequeue_count,
            self.deaths,
            self.enqueue_time,
            self.last_dequeue_time or self.enqueue_time,
            envelope.timeout,
            envelope.max_tries,
            envelope.result_ttl,
            isolation,
            envelope.max_deliveries,
            envelope.serializer,
            envelope.tags,
            envelope.max_items,
        )

    def state(self) -> TaskState[bytes]:
        """What users see of the task."""
        failure = self.failure
        return TaskState(
            id=self.id,
            task_name=self.envelope.task_name,
            queue=self.queue,
            status=self.status,
            priority=self.envelope.priority,
            tags=self.envelope.tags,
            enqueue_time=self.enqueue_time,
            last_dequeue_time=self.last_dequeue_time,
            last_requeue_time=self.last_requeue_time,
            release_time=self.release_time,
            due_time=self.when if self.status is Status.DELAYED else None,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            tries=self.tries + (self.status is Status.FAILED),
            deaths=self.deaths,
            timeout=self.envelope.timeout,
            worker=self.worker,
            progress=self.progress,
            result=self.result,
            serializer=self.envelope.serializer,
            error=None if failure is None else failure.text,
            error_type=None if failure is None else failure.type or None,
            traceback=None if failure is None else failure.traceback,
            items=self.streamed,
        )

    def detail(self) -> TaskDetail:
        """What is listed of the task."""
        envelope, is_final = self.envelope, self.status.is_final
        return TaskDetail.of(
            self.state(),
            body=(envelope.body or None) if is_final else envelope.body,
            ctx=b"" if is_final else envelope.ctx,
            max_tries=None if is_final else envelope.max_tries,
        )


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A task as it was when it died, for its dead letter and for a replay."""

    record: Record
    """A copy without delay."""
    status: Status
    time: float
    """When it died."""

    @classmethod
    def of(cls, record: Record, status: Status, now: float) -> "DeadRecord":
        """The dead record of a task that dies now. Call it before the task is made final."""
        kept = copy(record)
        kept.envelope = structs.replace(record.envelope, delay=0.0, eta=None)
        kept.tries += status is Status.FAILED
        return cls(kept, status, now)

    def letter(self) -> DeadLetter:
        """What users see of it."""
        record, failure = self.record, self.record.failure
        return DeadLetter(
            id=record.id,
            task_name=record.envelope.task_name,
            queue=record.queue,
            status=self.status,
            body=record.envelope.body,
            serializer=record.envelope.serializer,
            error=None if failure is None else failure.text,
            error_type=None if failure is None else failure.type or None,
            traceback=None if failure is None else failure.traceback or None,
            time=self.time,
            enqueue_time=record.enqueue_time,
            tries=record.tries,
            dequeue_count=record.dequeue_count,
            requeue_count=record.requeue_count,
            deaths=record.deaths,
            worker=record.worker,
            tags=record.envelope.tags,
        )

    def revived(self, now: float) -> Record:
        """The task as if it were sent now. It keeps its counts of deliveries and its token."""
        record = self.record
        return Record(
            record.envelope,
            enqueue_time=now,
            token=record.token,
            dequeue_count=record.dequeue_count,
            requeue_count=record.requeue_count,
            last_dequeue_time=record.last_dequeue_time,
            last_requeue_time=record.last_requeue_time,
            worker=record.worker,
        )
