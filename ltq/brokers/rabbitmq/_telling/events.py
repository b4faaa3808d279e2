"""What is told, in the form in which it is published."""

import time
from typing import Literal, NamedTuple

import msgspec

from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Delivery, Envelope, Finish, Outcome
from ltq.names import namespace_of
from ltq.state import Status, TaskState

Kind = Literal[
    "enqueued", "started", "retried", "completed", "failed", "rejected", "cancelled", "dead"
]

MOST_RESULT = 64 * 1024
"""Most bytes of a result that is told."""

_OF_STATUS: dict[Status, Kind] = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.REJECTED: "rejected",
    Status.CANCELLED: "cancelled",
}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a task."""

    event: Kind
    id: str
    task: str
    """The task's name."""
    queue: str
    time: float
    """When, in Unix seconds by the clock of the process that tells it."""
    attempt: int = 0
    """The number of the try, from 1; 0 if none had begun."""
    worker: str | None = None
    """The consumer that runs it."""
    result: msgspec.Raw | None = None
    """What it returned, as JSON; null unless it completed, or if that is no JSON or very large."""
    error: str | None = None
    """`"ValueError: text"` of a run that failed, or the reason of a rejection."""

    @property
    def routing_key(self) -> str:
        """`<worker>.<task>.<event>`; dots within names are `-`."""
        namespace = namespace_of(self.task)
        own = self.task[len(namespace) + 1 :] or namespace
        return f"{namespace.replace('.', '-')}.{own.replace('.', '-')}.{self.event}"[-255:]


class Run(NamedTuple):
    """What has to be known of a delivery when its outcome is told."""

    task: str
    attempt: int
    worker: str


def enqueued(envelope: Envelope) -> Event:
    """A task is there that was not there before."""
    return Event(
        event="enqueued",
        id=envelope.id,
        task=envelope.task_name,
        queue=envelope.queue,
        time=time.time(),
    )


def started(delivery: Delivery, worker: str) -> Event:
    """A worker has got a task, to run it."""
    return Event(
        event="started",
        id=delivery.lease.id,
        task=delivery.task_name,
        queue=delivery.lease.queue,
        time=time.time(),
        attempt=delivery.tries + 1,
        worker=worker,
    )


def ended(outcome: Outcome, run: Run) -> list[Event]:
    """A run has ended. Nothing is told of one that counts for nothing."""
    kinds: list[Kind] = []
    if isinstance(outcome, Finish):
        kinds += [_OF_STATUS[outcome.status]]
        kinds += ["dead"] if outcome.dead else []
    elif outcome.failed:
        kinds += ["retried"]
    result = _result(outcome) if isinstance(outcome, Finish) else None
    return [
        Event(
            event=kind,
            id=outcome.lease.id,
            task=run.task,
            queue=outcome.lease.queue,
            time=time.time(),
            attempt=run.attempt,
            worker=run.worker,
            result=result,
            error=None if outcome.failure is None else outcome.failure.text,
        )
        for kind in kinds
    ]


def cancelled(state: TaskState[bytes]) -> Event:
    """Somebody has cancelled a task."""
    return Event(
        event="cancelled",
        id=state.id,
        task=state.task_name,
        queue=state.queue,
        time=time.time(),
        attempt=state.tries + 1 if state.dequeue_count else 0,
        worker=state.worker,
    )


def _result(outcome: Finish) -> msgspec.Raw | None:
    is_json = outcome.serializer == DEFAULT_SERIALIZER and outcome.status is Status.COMPLETED
    if not is_json or not 0 < len(outcome.result) <= MOST_RESULT:
        return None
    try:
        return msgspec.json.decode(outcome.result, type=msgspec.Raw).copy()
    except ValueError:  # bytes of who uses the broker without a worker
        return None
