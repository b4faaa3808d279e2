"""The replies of scripts as values of the seam.

Fields of a task that cannot be read count as absent: other programs may have written them.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ltq.message import DeadLetter, Delivery, Lease, Published, Receipt
from ltq.state import Progress, QueueStats, Status, TaskState

T = TypeVar("T")

PUBLISHED = {answer.value.encode(): answer for answer in Published}
RECEIPTS = {answer.value.encode(): answer for answer in Receipt}

_STATUSES = {status.value.encode(): status for status in Status}

_PLAIN_FIELDS = {b"status", b"enqueue_time", b"task", b"body", b"queue", b"lane", b"priority"}
"""The fields of a task that was sent without options and never claimed."""

_progress_decoder = msgspec.json.Decoder(Progress)


def integer(reply: Any) -> int:
    """A whole number. Raises `TypeError` for anything else."""
    if isinstance(reply, int):
        return reply
    raise TypeError(f"{reply!r} is not a whole number")


def integers(reply: Any) -> list[int]:
    """A list of whole numbers. Raises `TypeError` for anything else."""
    if isinstance(reply, list):
        return [integer(number) for number in reply]
    raise TypeError(f"{reply!r} is not a list")


def delivery(reply: Sequence[Any], now: float) -> Delivery:
    """A task as `claim` gives it at the time `now`."""
    task_id, token, flat, isolation = reply
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
        isolation,
    )


def task_state(task_id: str, reply: Sequence[Any]) -> TaskState[bytes] | None:
    """A task as `states` answers it; None if it does not exist or has an unknown status."""
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
        due_time=_finite(reply[16]) if status is Status.DELAYED else None,
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
        oldest=None if oldest is None else float(oldest),
        overdue=overdue,
    )


def dead_letter(task_id: str, reply: Sequence[Any]) -> DeadLetter | None:
    """A letter as `dead_letters` answers it; None if there is none or its status is unknown."""
    status = _STATUSES.get(reply[0])
    if status is None:
        return None
    name = _text(reply[1] or b"")
    return DeadLetter(
        id=task_id,
        task_name=name,
        queue=name if reply[2] is None else _text(reply[2]),
        status=status,
        body=reply[10],
        error=_optional_text(reply[11]),
        error_type=_optional_text(reply[12]),
        traceback=_optional_text(reply[13]),
        time=_number(float, reply[3]) or 0.0,
        enqueue_time=_number(float, reply[4]),
        tries=(_number(int, reply[5]) or 0) + (status is Status.FAILED),
        dequeue_count=_number(int, reply[6]) or 0,
        requeue_count=_number(int, reply[7]) or 0,
        deaths=_number(int, reply[8]) or 0,
        worker=_optional_text(reply[9]),
    )


def _number(kind: Callable[[bytes], T], value: bytes | None) -> T | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        return None


def _finite(value: bytes | None) -> float | None:
    number = _number(float, value)
    return number if number is not None and math.isfinite(number) else None


def _rate(value: bytes) -> float:
    return _finite(value) or 0.0  # its counts may be spoilt


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
