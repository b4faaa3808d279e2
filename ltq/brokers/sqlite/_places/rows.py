"""Tasks as rows: what is written of a record, and a record from what was read."""

import re
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from ltq.brokers._rules.record import Record, waiting_since
from ltq.brokers.sqlite._file.schema import STATUSES
from ltq.message import Envelope, Failure
from ltq.state import Progress, Status

CODES = {Status(name): code for code, name in enumerate(STATUSES)}
"""The column `status` of each."""

STATUS_OF = {code: status for status, code in CODES.items()}


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What changes of a task, but for its columns. New fields go to the end, with defaults."""

    enqueue_time: float
    token: int
    returned: int
    front: bool
    tries: int
    deaths: int
    dequeue_count: int
    requeue_count: int
    last_dequeue_time: float | None
    last_requeue_time: float | None
    release_time: float | None
    worker: str | None
    progress: Progress | None
    result: bytes | None
    failure: Failure | None
    keeps_body: bool
    body_serializer: str | None
    items: int = 0
    items_of: int = 0


@dataclass(slots=True, eq=False)
class Row:
    """A record, and where it is in the file."""

    record: Record
    number: int
    position: int
    envelope: Envelope | None
    """As it is in the file; None if the row is not there yet."""


_begins_with_time = re.compile("[0-9a-f]{10}").match

_encode = msgspec.msgpack.Encoder().encode
_read_state = msgspec.msgpack.Decoder(_State).decode
_read_envelope = msgspec.msgpack.Decoder(Envelope).decode


def _blob(value: object) -> bytearray:
    """In MessagePack. For `bytes`, Python looks for an adapter at each value of a statement."""
    return bytearray(_encode(value))


def hash_of(task_id: str) -> int:
    """The column `hash`. Ids may share one, so whoever reads by it compares the ids.

    It begins with the 10 digits that ids of LTQ begin with: so those of one time lie together.
    """
    digest = blake2b(task_id.encode(), digest_size=8).digest()
    if _begins_with_time(task_id):
        digest = bytes.fromhex(task_id[:10]) + digest[:3]
    return int.from_bytes(digest, "big", signed=True)


def state_of(record: Record) -> bytearray:
    """The column `state`."""
    return _blob(
        (
            record.enqueue_time,
            record.token,
            record.returned,
            record.front,
            record.tries,
            record.deaths,
            record.dequeue_count,
            record.requeue_count,
            record.last_dequeue_time,
            record.last_requeue_time,
            record.release_time,
            record.worker,
            record.progress,
            record.result,
            record.failure,
            record.keeps_body,
            record.body_serializer,
            *((record.items, record.items_of) if record.items_of else ()),
        )
    )


def waits_since(state: bytes) -> float:
    """Since when a ready task waits, from the column `state`: `Record.waits_since`."""
    kept = _read_state(state)
    return waiting_since(kept.enqueue_time, kept.last_requeue_time)


def envelope_of(record: Record) -> bytearray:
    """The column `envelope`."""
    return _blob(record.envelope)


def read_row(
    number: int, code: int, moment: float, position: int, state: bytes, envelope: bytes
) -> Row:
    """A row from its columns."""
    sent, kept = _read_envelope(envelope), _read_state(state)
    record = Record(
        sent,
        kept.enqueue_time,
        STATUS_OF[code],
        moment,
        kept.token,
        kept.returned,
        kept.front,
        kept.tries,
        kept.deaths,
        kept.dequeue_count,
        kept.requeue_count,
        kept.last_dequeue_time,
        kept.last_requeue_time,
        kept.release_time,
        kept.worker,
        kept.progress,
        kept.result,
        kept.failure,
        kept.keeps_body,
        kept.body_serializer,
        kept.items,
        kept.items_of,
    )
    return Row(record, number, position, sent)
