"""Tasks as rows of the live and the final table: a record from its columns, and back."""

from dataclasses import dataclass
from typing import Any

import msgspec

from ltq.brokers._rules.record import Record
from ltq.message import Envelope, Failure, kind_of
from ltq.options import Priority
from ltq.state import Progress, Status

STATUSES = ("pending", "delayed", "working", "completed", "failed", "rejected", "cancelled")
"""The column `status` holds a place in this list. Those from the fourth on are final."""

CODES = {Status(name): code for code, name in enumerate(STATUSES)}
"""The column `status` of each."""

STATUS_OF = {code: status for status, code in CODES.items()}

COLUMNS = (
    "namespace",
    "id",
    "queue",
    "lane",
    "kind",
    "priority",
    "status",
    "moment",
    "position",
    "token",
    "returned",
    "front",
    "tries",
    "deaths",
    "dequeue_count",
    "requeue_count",
    "enqueue_time",
    "last_dequeue_time",
    "last_requeue_time",
    "release_time",
    "timeout",
    "max_tries",
    "result_ttl",
    "max_deliveries",
    "max_items",
    "keep_body",
    "keeps_body",
    "worker",
    "task_name",
    "serializer",
    "body_serializer",
    "tags",
    "fingerprint",
    "items",
    "items_of",
    "progress",
    "failure",
    "ctx",
    "body",
    "result",
)
"""The columns of a task, in their order in both tables."""

encode = msgspec.msgpack.Encoder().encode
_read_progress = msgspec.msgpack.Decoder(Progress).decode
_read_failure = msgspec.msgpack.Decoder(Failure).decode


@dataclass(slots=True, eq=False)
class Row:
    """A record, and where it is in the tables."""

    record: Record
    position: int
    table: str | None
    """`tasks` or `final`; None if it is not there yet."""


def columns_of(row: Row, namespace: str) -> tuple[Any, ...]:
    """The columns of a record."""
    record = row.record
    envelope = record.envelope
    return (
        namespace,
        envelope.id,
        envelope.queue,
        record.lane,
        kind_of(envelope.task_name, envelope.serializer),
        int(envelope.priority),
        CODES[record.status],
        record.when,
        row.position,
        record.token,
        record.returned,
        record.front,
        record.tries,
        record.deaths,
        record.dequeue_count,
        record.requeue_count,
        record.enqueue_time,
        record.last_dequeue_time,
        record.last_requeue_time,
        record.release_time,
        envelope.timeout,
        envelope.max_tries,
        envelope.result_ttl,
        envelope.max_deliveries,
        envelope.max_items,
        envelope.keep_body,
        record.keeps_body,
        record.worker,
        envelope.task_name,
        envelope.serializer,
        record.body_serializer,
        " ".join(envelope.tags),
        envelope.fingerprint,
        record.items if record.items_of else None,
        record.items_of or None,
        None if record.progress is None else encode(record.progress),
        None if record.failure is None else encode(record.failure),
        envelope.ctx,
        envelope.body,
        record.result,
    )


def read_row(columns: tuple[Any, ...]) -> Row:
    """A record from its columns, with the table where it is."""
    (
        _,
        task_id,
        queue,
        lane,
        _,
        priority,
        status,
        moment,
        position,
        token,
        returned,
        front,
        tries,
        deaths,
        dequeue_count,
        requeue_count,
        enqueue_time,
        last_dequeue_time,
        last_requeue_time,
        release_time,
        timeout,
        max_tries,
        result_ttl,
        max_deliveries,
        max_items,
        keep_body,
        keeps_body,
        worker,
        task_name,
        serializer,
        body_serializer,
        tags,
        fingerprint,
        items,
        items_of,
        progress,
        failure,
        ctx,
        body,
        result,
    ) = columns
    envelope = Envelope(
        id=task_id,
        queue=queue,
        task_name=task_name,
        body=body,
        serializer=serializer,
        lane="" if lane == queue else lane,
        priority=Priority(priority),
        timeout=timeout,
        max_tries=max_tries,
        result_ttl=result_ttl,
        max_deliveries=max_deliveries,
        fingerprint=fingerprint,
        ctx=ctx,
        tags=tuple(tags.split()),
        keep_body=keep_body,
        max_items=max_items,
    )
    record = Record(
        envelope,
        enqueue_time=enqueue_time,
        status=STATUS_OF[status],
        when=moment,
        token=token,
        returned=returned,
        front=front,
        tries=tries,
        deaths=deaths,
        dequeue_count=dequeue_count,
        requeue_count=requeue_count,
        last_dequeue_time=last_dequeue_time,
        last_requeue_time=last_requeue_time,
        release_time=release_time,
        worker=worker,
        progress=None if progress is None else _read_progress(progress),
        result=result,
        failure=None if failure is None else _read_failure(failure),
        keeps_body=keeps_body,
        body_serializer=body_serializer,
        items=items or 0,
        items_of=items_of or 0,
    )
    return Row(record, position, "tasks" if status < 3 else "final")
