"""Values of the seam as arguments of the scripts, and the scripts' replies as values."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from ltq._names import namespace_of
from ltq.broker.isolation import isolation_of
from ltq.brokers.redis._link import Argument
from ltq.message import (
    DeadLetter,
    Delivery,
    Envelope,
    Finish,
    Lease,
    Outcome,
    Published,
    Receipt,
    Requeue,
)
from ltq.options import Priority
from ltq.state import Progress, QueueStats, Status, TaskState

T = TypeVar("T")

PUBLISHED = {answer.value.encode(): answer for answer in Published}
RECEIPTS = {answer.value.encode(): answer for answer in Receipt}
"""The words that scripts answer with."""

_but_id_and_body = attrgetter(
    *(name for name in Envelope.__struct_fields__ if name not in ("id", "body"))
)
_progress_decoder = msgspec.json.Decoder(Progress)
encode_progress = msgspec.json.Encoder().encode


def envelope_arguments(envelopes: Sequence[Envelope]) -> list[Argument]:
    """The groups of `send`: what follows each other and differs in id and body only is one."""
    if len(envelopes) == 1:
        return _group(envelopes[0], envelopes)
    arguments: list[Argument] = []
    for _, alike in groupby(envelopes, _but_id_and_body):
        group = list(alike)
        arguments += _group(group[0], group)
    return arguments


def _group(first: Envelope, envelopes: Sequence[Envelope]) -> list[Argument]:
    """Envelopes like the first one. The hash gets only fields that say something."""
    fields: list[Argument] = ["task", first.task_name]
    queue, lane = first.queue, first.lane or first.queue
    if queue != first.task_name:
        fields += ("queue", queue)
    if lane != queue:
        fields += ("lane", lane)
    if first.priority is not Priority.NORMAL:
        fields += ("priority", int(first.priority))
    if first.ctx:
        fields += ("ctx", first.ctx)
    for name, value in (
        ("timeout", first.timeout),
        ("max_tries", first.max_tries),
        ("result_ttl", first.result_ttl),
        ("max_deliveries", first.max_deliveries),
    ):
        if value is not None:
            fields += (name, value)
    eta = "" if first.eta is None else repr(first.eta)
    arguments: list[Argument] = [queue, lane, int(first.priority), first.delay or 0, eta]
    arguments += (_conditions(first), len(envelopes), len(fields))
    arguments += fields
    for envelope in envelopes:
        arguments += (envelope.id, envelope.body)
    return arguments


def _conditions(envelope: Envelope) -> str:
    """What may stand against an envelope, as one argument: most have nothing."""
    if envelope.max_pending is None and not envelope.fingerprint and envelope.has_new_id:
        return ""
    limit = "-" if envelope.max_pending is None else envelope.max_pending
    milliseconds = max(1, math.ceil(envelope.unique_for * 1000))
    used = "new" if envelope.has_new_id else "used"
    return f"{limit} {envelope.fingerprint or '-'} {milliseconds} {used}"


def outcome_arguments(outcomes: Sequence[Outcome]) -> list[Argument]:
    """The groups of `finish`: what follows each other and differs in lease and result is one."""
    arguments: list[Argument] = []
    for _, alike in groupby(outcomes, _but_lease_and_result):
        arguments += _outcome_group([*alike])
    return arguments


def _but_lease_and_result(outcome: Outcome) -> object:
    """What outcomes of one group have in common: of those that run again, all."""
    if not isinstance(outcome, Finish):
        return outcome
    queue, failure = outcome.lease.queue, outcome.failure
    return queue, outcome.status, failure, outcome.result_ttl, outcome.dead, not outcome.result


def _outcome_group(outcomes: Sequence[Outcome]) -> list[Argument]:
    """Outcomes like the first one."""
    first = outcomes[0]
    if isinstance(first, Finish):
        status, seconds = first.status, first.result_ttl
        has_result = status is Status.COMPLETED or first.result
        flags = ("d" if first.dead else "") + ("r" if has_result else "")
    else:
        status, seconds = _requeue_status(first), first.delay
        flags = ("t" if first.failed else "") + ("f" if first.front else "")
    fields = _outcome_fields(first)
    arguments: list[Argument] = [first.lease.queue, status.value, seconds, flags]
    arguments += (len(outcomes), len(fields))
    arguments += fields
    for outcome in outcomes:
        result = outcome.result if isinstance(outcome, Finish) else b""
        arguments += (outcome.lease.id, outcome.lease.token, result)
    return arguments


def _outcome_fields(outcome: Outcome) -> list[Argument]:
    """What an outcome sets beside the result."""
    fields: list[Argument] = []
    if isinstance(outcome, Requeue):
        if outcome.ctx is not None:
            fields += ("ctx", outcome.ctx)
        if outcome.timeout is not None:
            fields += ("timeout", outcome.timeout)
    failure = outcome.failure
    if failure is not None:
        fields += ("error", failure.text.encode("utf-8", "backslashreplace"))
        if failure.type:
            fields += ("error_type", failure.type)
        if failure.traceback:
            fields += ("traceback", failure.traceback.encode("utf-8", "backslashreplace"))
    return fields


def _requeue_status(outcome: Requeue) -> Status:
    return Status.DELAYED if outcome.delay > 0 else Status.PENDING


def delivery(reply: Sequence[Any], now: float) -> Delivery:
    """A task as `claim` answers it. Fields that are not what they should be count as absent."""
    task_id, token, flat = reply
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    name = _name(get(b"task", b""))
    lease = Lease(_text(task_id), _name(get(b"queue", b"")) or name, int(token))
    sent = _number(float, get(b"enqueue_time")) or now
    body, ctx = get(b"body", b""), get(b"ctx", b"")
    if fields.keys() <= _PLAIN_FIELDS:
        return Delivery(lease, name, body, ctx, 0, 1, 0, sent, now, None, None, None)
    return Delivery(
        lease,
        name,
        body,
        ctx,
        _number(int, get(b"tries")) or 0,
        (_number(int, get(b"dequeue_count")) or 0) + 1,
        _number(int, get(b"deaths")) or 0,
        sent,
        now,
        _number(float, get(b"timeout")),
        _number(int, get(b"max_tries")),
        _number(float, get(b"result_ttl")),
        isolation_of(_number(int, get(b"deaths")) or 0, _number(int, get(b"max_deliveries"))),
    )


def task_state(task_id: str, reply: Sequence[Any]) -> TaskState[bytes] | None:
    """A task as `states` answers it; None for no task, or a status nobody knows."""
    status = _STATUSES.get(reply[0])
    if status is None:
        return None
    name = _text(reply[1] or b"")
    return TaskState(
        id=task_id,
        task_name=name,
        queue=name if reply[2] is None else _text(reply[2]),
        status=status,
        enqueue_time=_number(float, reply[3]),
        last_dequeue_time=_number(float, reply[4]),
        last_requeue_time=_number(float, reply[5]),
        release_time=_number(float, reply[6]),
        dequeue_count=_number(int, reply[7]) or 0,
        requeue_count=_number(int, reply[8]) or 0,
        timeout=_number(float, reply[9]),
        worker=_optional_text(reply[10]),
        progress=_progress(reply[11]),
        result=reply[12],
        error=_optional_text(reply[13]),
        error_type=_optional_text(reply[14]),
        traceback=_optional_text(reply[15]),
    )


def queue_stats(queue: str, reply: Sequence[Any]) -> QueueStats:
    """A queue as `stats` answers it."""
    high, normal, low, delayed, working, dead, rate, oldest, overdue = reply
    return QueueStats(
        queue=queue,
        pending=high + normal + low,
        delayed=delayed,
        working=working,
        dead=dead,
        rate=_rate(rate),
        by_priority={"high": high, "normal": normal, "low": low},
        oldest=float(oldest) if oldest else None,
        overdue=overdue,
    )


def dead_letter(task_id: str, reply: Sequence[Any]) -> DeadLetter | None:
    """A letter as `letters` answers it; None for no letter, or a status nobody knows."""
    status = _STATUSES.get(reply[0])
    if status is None:
        return None
    name = _text(reply[1] or b"")
    return DeadLetter(
        id=task_id,
        task_name=name,
        queue=name if reply[2] is None else _text(reply[2]),
        status=status,
        body=reply[3],
        error=_optional_text(reply[4]),
        error_type=_optional_text(reply[5]),
        traceback=_optional_text(reply[6]),
        time=_number(float, reply[7]) or 0.0,
        enqueue_time=_number(float, reply[8]),
        tries=(_number(int, reply[9]) or 0) + (status is Status.FAILED),
        dequeue_count=_number(int, reply[10]) or 0,
        requeue_count=_number(int, reply[11]) or 0,
        deaths=_number(int, reply[12]) or 0,
        worker=_optional_text(reply[13]),
    )


BATCH = 500
"""Most tasks of one script call: a long script would make everybody else wait."""

BATCH_BYTES = 4_000_000
"""Bytes of payload in one call, roughly: it has to arrive well within the call's deadline."""


def by_namespace(items: Sequence[T], queue_of: Callable[[T], str]) -> dict[str, list[int]]:
    """Positions of items by the namespace of their queue."""
    groups: dict[str, list[int]] = {}
    for position, queue in enumerate(map(queue_of, items)):
        groups.setdefault(namespace_of(queue), []).append(position)
    return groups


def chunks(
    items: Sequence[T],
    queue_of: Callable[[T], str],
    size_of: Callable[[T], int] | None = None,
    limit: int = BATCH,
) -> Iterator[tuple[str, list[int]]]:
    """Positions of items that may go into one call, with their namespace."""
    for namespace, positions in by_namespace(items, queue_of).items():
        chunk: list[int] = []
        size = 0
        for position in positions:
            more = 0 if size_of is None else size_of(items[position])
            if chunk and (len(chunk) == limit or size + more > BATCH_BYTES):
                yield namespace, chunk
                chunk, size = [], 0
            chunk.append(position)
            size += more
        yield namespace, chunk


queue_of_envelope: Callable[[Envelope], str] = attrgetter("queue")
queue_of_outcome: Callable[[Outcome], str] = attrgetter("lease.queue")


def envelope_size(envelope: Envelope) -> int:
    """Bytes of payload."""
    return len(envelope.body) + len(envelope.ctx)


def outcome_size(outcome: Outcome) -> int:
    """Bytes of payload."""
    if isinstance(outcome, Finish):
        return len(outcome.result)
    return len(outcome.ctx or b"")


_PLAIN_FIELDS = {b"status", b"enqueue_time", b"task", b"body", b"queue", b"lane", b"priority"}
"""What a task has that was sent without options and never claimed."""

_STATUSES = {status.value.encode(): status for status in Status}


def _number(kind: Callable[[bytes], T], value: bytes | None) -> T | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        return None


def _rate(value: bytes) -> float:
    rate = _number(float, value) or 0.0
    return rate if math.isfinite(rate) else 0.0  # what it is made of was spoilt


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


_name = lru_cache(maxsize=4096)(_text)
"""Names of tasks and queues: there are few, and they come again and again."""


def _optional_text(value: bytes | None) -> str | None:
    return None if value is None else _text(value)


def _progress(value: bytes | None) -> Progress | None:
    if value is None:
        return None
    try:
        return _progress_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
