"""One task, wherever it is, and how it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from ltq.broker import isolation_of, namespace_of
from ltq.message import DeadLetter, Delivery, Envelope, Failure, Lease
from ltq.state import Progress, Status, TaskState

Key = tuple[str, str]
"""A namespace and an id: ids are unique within a namespace."""


@dataclass
class Task:
    """A task wherever it is. `status` says where: each task is in one place."""

    envelope: Envelope
    enqueue_time: float
    status: Status = Status.PENDING
    order: int = 0
    """Its place among the pending ones of its lane and priority."""
    due: float = 0.0
    """When a delayed task is pending, a lease ends, or a final state is forgotten."""
    token: int = 0
    returned: int = 0
    """The token of the claim that was last put back by its holder."""
    tries: int = 0
    deaths: int = 0
    dequeue_count: int = 0
    requeue_count: int = 0
    last_dequeue_time: float | None = None
    last_requeue_time: float | None = None
    release_time: float | None = None
    worker: str | None = None
    revoke: Callable[[], object] | None = None
    progress: Progress | None = None
    result: bytes | None = None
    failure: Failure | None = None

    @property
    def key(self) -> Key:
        return namespace_of(self.envelope.queue), self.envelope.id

    @property
    def lane(self) -> str:
        return self.envelope.lane or self.envelope.queue

    @property
    def isolation(self) -> int | None:
        return isolation_of(self.deaths, self.envelope.max_deliveries)

    @property
    def error(self) -> tuple[str | None, str | None, str | None]:
        """Text, type and traceback."""
        failure = self.failure or Failure("", "")
        return failure.text or None, failure.type or None, failure.traceback

    def state(self) -> TaskState[bytes]:
        error, error_type, traceback = self.error
        return TaskState(
            id=self.envelope.id,
            task_name=self.envelope.task_name,
            queue=self.envelope.queue,
            status=self.status,
            enqueue_time=self.enqueue_time,
            last_dequeue_time=self.last_dequeue_time,
            last_requeue_time=self.last_requeue_time,
            release_time=self.release_time,
            due_time=self.due if self.status is Status.DELAYED else None,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            timeout=self.envelope.timeout,
            worker=self.worker,
            progress=self.progress,
            result=self.result,
            error=error,
            error_type=error_type,
            traceback=traceback,
        )

    def delivery(self) -> Delivery:
        envelope = self.envelope
        return Delivery(
            lease=Lease(envelope.id, envelope.queue, self.token),
            task_name=envelope.task_name,
            body=envelope.body,
            ctx=envelope.ctx,
            tries=self.tries,
            dequeue_count=self.dequeue_count,
            deaths=self.deaths,
            enqueue_time=self.enqueue_time,
            dequeue_time=self.last_dequeue_time or 0.0,
            timeout=envelope.timeout,
            max_tries=envelope.max_tries,
            result_ttl=envelope.result_ttl,
            isolation=self.isolation,
        )

    def dead_letter(self, now: float) -> DeadLetter:
        error, error_type, traceback = self.error
        return DeadLetter(
            id=self.envelope.id,
            task_name=self.envelope.task_name,
            queue=self.envelope.queue,
            status=self.status,
            body=self.envelope.body,
            error=error,
            error_type=error_type,
            traceback=traceback,
            time=now,
            enqueue_time=self.enqueue_time,
            tries=self.tries + (self.status is Status.FAILED),
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            deaths=self.deaths,
            worker=self.worker,
        )
