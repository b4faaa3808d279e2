"""One task, wherever it is, and how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltq.broker import ConsumerConfig, Position, namespace_of
from ltq.broker.flows import has_outline
from ltq.message import DeadLetter, Delivery, Envelope, Failure, Lease, kind_of
from ltq.state import Items, Progress, Status, TaskDetail, TaskState

Key = tuple[str, str]
"""A namespace and an id: ids are unique within a namespace."""

MOST_BYTES = 1 << 22
"""Bytes of items after which a page ends."""


@dataclass
class Task:
    """A task wherever it is. `status` says where: each task is in one place."""

    envelope: Envelope
    enqueue_time: float
    status: Status = Status.PENDING
    order: tuple[bool, int] = (True, 0)
    """Its place among the pending ones of its lane and priority: whether it came to the end, and
    when. Those that came to the front are in the order of their claims."""
    due: float = 0.0
    """When a delayed task is pending, a lease ends, or a final state is forgotten."""
    token: int = 0
    returned: int = 0
    """The token of the claim that was last requeued by its holder."""
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
    body_serializer: str | None = None
    """What the arguments are encoded with, once the envelope names what the result is."""
    items: tuple[bytes, ...] = ()
    """The items of its stream that are kept."""
    items_total: int = 0
    items_of: int = 0
    """The delivery that yielded them."""

    @property
    def key(self) -> Key:
        return namespace_of(self.envelope.queue), self.envelope.id

    @property
    def lane(self) -> str:
        return self.envelope.lane or self.envelope.queue

    @property
    def waits_since(self) -> float:
        """When it was sent, or last came back."""
        return max(self.enqueue_time, self.last_requeue_time or 0.0)

    @property
    def came(self) -> float:
        """When it came to where it is."""
        match self.status:
            case Status.PENDING:
                return self.waits_since
            case Status.DELAYED:
                return max(self.enqueue_time, self.last_dequeue_time or 0.0)
            case Status.WORKING:
                return self.last_dequeue_time or 0.0
            case _:
                return self.release_time or 0.0

    @property
    def rank(self) -> Position:
        """Its place in the list of its queue's tasks: see `Listing.tasks`."""
        match self.status:
            case Status.PENDING:
                lane = "" if self.lane == self.envelope.queue else self.lane
                return (0, int(self.envelope.priority), lane, *map(int, self.order))
            case Status.DELAYED:
                return 1, self.due, self.envelope.id
            case Status.WORKING:
                return 2, self.due, self.envelope.id
            case _:
                return 3, -self.came, self.envelope.id

    def lane_for(self, config: ConsumerConfig) -> str | None:
        """The lane to which a claim of this consumer moves it; None if the claim may give it."""
        kind = kind_of(self.envelope.task_name, self.envelope.serializer)
        return config.lane_for(self.lane, self.envelope.queue, kind)

    @property
    def error(self) -> tuple[str | None, str | None, str | None]:
        """Text, type and traceback."""
        failure = self.failure or Failure("", "")
        return failure.text or None, failure.type or None, failure.traceback

    @property
    def streamed(self) -> int:
        """How many items its last delivery has yielded."""
        return self.items_total if self.items_of == self.dequeue_count else 0

    def append(self, first: int, items: Sequence[bytes], most: int) -> None:
        """Add items of the present delivery, of which `first` came before these."""
        if self.items_of != self.dequeue_count or first > self.items_total:
            self.items, self.items_total, self.items_of = (), first, self.dequeue_count
        self.items = (*self.items, *items[self.items_total - first :])[-most:]
        self.items_total = max(self.items_total, first + len(items))

    def page(self, attempt: int, after: int, limit: int) -> Items:
        """Some items of the last delivery: see `Watcher.items`."""
        total, behind = self.streamed, after if attempt == self.dequeue_count else 0
        gone = self.items_total - len(self.items)
        first = max(behind, gone) if total else behind
        found, size = list[bytes](), 0
        for item in self.items[first - gone :][:limit] if total else ():
            found.append(item)
            size += len(item)
            if size >= MOST_BYTES:
                break
        return Items(attempt=self.dequeue_count, first=first, items=tuple(found), total=total)

    def state(self) -> TaskState[bytes]:
        error, error_type, traceback = self.error
        return TaskState(
            id=self.envelope.id,
            task_name=self.envelope.task_name,
            queue=self.envelope.queue,
            status=self.status,
            priority=self.envelope.priority,
            tags=self.envelope.tags,
            enqueue_time=self.enqueue_time,
            last_dequeue_time=self.last_dequeue_time,
            last_requeue_time=self.last_requeue_time,
            release_time=self.release_time,
            due_time=self.due if self.status is Status.DELAYED else None,
            dequeue_count=self.dequeue_count,
            requeue_count=self.requeue_count,
            tries=self.tries + (self.status is Status.FAILED),
            deaths=self.deaths,
            timeout=self.envelope.timeout,
            worker=self.worker,
            progress=self.progress,
            result=self.result,
            serializer=self.envelope.serializer,
            error=error,
            error_type=error_type,
            traceback=traceback,
            items=self.streamed,
        )

    @property
    def kept_ctx(self) -> bytes:
        """Its `ctx`; of a final task only that of the last one of a workflow."""
        ctx = self.envelope.ctx
        return ctx if not self.status.is_final or has_outline(ctx) else b""

    def detail(self) -> TaskDetail:
        """What a list shows. Other brokers forget the options of a task at its end."""
        envelope, is_final = self.envelope, self.status.is_final
        is_kept = not is_final or envelope.keeps_body(self.status)
        return TaskDetail.of(
            self.state(),
            body=envelope.body if is_kept else None,
            ctx=b"" if is_final else envelope.ctx,
            max_tries=None if is_final else envelope.max_tries,
        )

    def delivery(self, isolation: int | None) -> Delivery:
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
            isolation=isolation,
            max_deliveries=envelope.max_deliveries,
            serializer=envelope.serializer,
            tags=envelope.tags,
            max_items=envelope.max_items,
        )

    def dead_letter(self, now: float) -> DeadLetter:
        error, error_type, traceback = self.error
        return DeadLetter(
            id=self.envelope.id,
            task_name=self.envelope.task_name,
            queue=self.envelope.queue,
            status=self.status,
            body=self.envelope.body,
            serializer=self.envelope.serializer,
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
            tags=self.envelope.tags,
        )
