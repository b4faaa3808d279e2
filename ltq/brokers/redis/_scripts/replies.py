"""The replies of scripts as values of the seam.

Fields of a task that cannot be read count as absent: other programs may have written them.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from ltq.broker import SeenWorker, WorkerEntry, check_envelopes
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import SlotReceipt
from ltq.codec import DEFAULT_SERIALIZER
from ltq.errors import ConfigurationError
from ltq.message import DeadLetter, Delivery, Envelope, Failure, Lease, Published, Receipt
from ltq.names import MAX_TAGS, is_tag
from ltq.options import Priority
from ltq.state import Progress, QueueStats, Status, TaskDetail, TaskState

T = TypeVar("T")

PUBLISHED = {answer.value.encode(): answer for answer in Published}
_NOT_FIRED = (b"", b"other", b"taken_over", b"gone", b"paused", b"passed")
RECEIPTS = {answer.value.encode(): answer for answer in Receipt}

_STATUSES = {status.value.encode(): status for status in Status}

_PRIORITIES = {f"{priority:d}".encode(): priority for priority in Priority}

_PLAIN_FIELDS = {b"status", b"enqueue_time", b"task", b"body", b"queue", b"lane", b"priority"}
"""The fields of a task that was sent without options and never claimed."""

STATE_FIELDS = (
    *(b"status", b"task", b"queue", b"enqueue_time", b"last_dequeue_time", b"last_requeue_time"),
    *(b"release_time", b"dequeue_count", b"requeue_count", b"timeout", b"worker", b"progress"),
    *(b"result", b"error", b"error_type", b"traceback", b"deaths", b"serializer", b"priority"),
    *(b"tries", b"tags", b"items"),
)
"""The fields of a task in the order of `states`, but for the due time."""

_DUE = 17
"""Where `states` answers the due time."""

_progress_decoder = msgspec.json.Decoder(Progress)
_entry_decoder = msgspec.json.Decoder(WorkerEntry)


def slot_receipt(last: int, answer: bytes, since: bytes) -> SlotReceipt:
    """What became of the slot of a schedule."""
    return SlotReceipt(
        int(last),
        None if answer in _NOT_FIRED else PUBLISHED[answer],
        is_other=answer == b"other",
        taken_over=answer == b"taken_over",
        since=float(since),
        is_paused=answer == b"paused",
        is_gone=answer == b"gone",
    )


def seen_worker(now: float, entry: bytes | None, left: int) -> SeenWorker | None:
    """A worker as `workers` answers it at the time `now`; None if it is gone."""
    if entry is None:
        return None
    try:
        known = _entry_decoder.decode(entry)
    except msgspec.MsgspecError:  # other programs may have written it
        return None
    return SeenWorker(known, now + left / 1000 - known.gone_after)


def holder(
    worker: bytes | None, task_name: bytes | None, since: bytes | None
) -> tuple[str, str, float | None] | None:
    """Who holds a task, its name, and since when, as `holders` answers it; None for no holder."""
    if worker is None:
        return None
    return _text(worker), _text(task_name or b""), _number(float, since)


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


def values(reply: Any) -> list[bytes]:
    """A list of texts. Raises `TypeError` for anything else."""
    if isinstance(reply, list) and all(isinstance(value, bytes) for value in reply):
        return reply
    raise TypeError(f"{reply!r} is not a list of texts")


def deliveries(reply: Sequence[Any], first: int, now: float) -> list[Delivery]:
    """The tasks that `claim` gives at the time `now`: in its reply, from `first` on."""
    found = []
    while first < len(reply):
        task_id, token, isolation, size = reply[first : first + 4]
        end = first + 4 + size
        found.append(delivery((task_id, token, reply[first + 4 : end], isolation), now))
        first = end
    return found


def delivery(reply: Sequence[Any], now: float) -> Delivery:
    """A task as `claim` gives it at the time `now`: id, token, fields with values, isolation."""
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
        _number(int, get(b"max_deliveries")),
        _serializer(get(b"serializer")),
        _tags(get(b"tags")),
        _number(int, get(b"max_items")),
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
        priority=_priority(reply[19]),
        tags=_tags(reply[21]),
        enqueue_time=_number(float, reply[3]),
        last_dequeue_time=_number(float, reply[4]),
        last_requeue_time=_number(float, reply[5]),
        release_time=_number(float, reply[6]),
        due_time=_finite(reply[17]) if status is Status.DELAYED else None,
        dequeue_count=_number(int, reply[7]) or 0,
        requeue_count=_number(int, reply[8]) or 0,
        tries=(_number(int, reply[20]) or 0) + (status is Status.FAILED),
        deaths=_number(int, reply[16]) or 0,
        timeout=_number(float, reply[9]),
        worker=_optional_text(reply[10]),
        progress=_progress(reply[11]),
        result=reply[12],
        serializer=_serializer(reply[18]),
        error=_optional_text(reply[13]),
        error_type=_optional_text(reply[14]),
        traceback=_optional_text(reply[15]),
        items=_streamed(reply[22], reply[7]),
    )


def task_detail(task_id: str, flat: Sequence[Any], moment: bytes | None) -> TaskDetail | None:
    """A task as `tasks` answers it; None if it has an unknown status."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    state = _state_of(task_id, get, moment)
    if state is None:
        return None
    return TaskDetail.of(
        state,
        body=get(b"body"),
        ctx=get(b"ctx", b""),
        max_tries=_number(int, get(b"max_tries")),
    )


def queue_stats(queue: str, reply: Sequence[Any]) -> QueueStats:
    """A queue as `stats` answers it."""
    high, normal, low, delayed, working, dead, rate, oldest, overdue, *rest = reply
    unserved, unserved_oldest, served_ago, unswept, rate_10s, paused = rest
    return QueueStats(
        queue=queue,
        pending=high + normal + low,
        delayed=delayed,
        working=working,
        dead=dead,
        rate=_rate(rate),
        rate_10s=_rate(rate_10s),
        by_priority={"high": high, "normal": normal, "low": low},
        oldest=_number(float, oldest),
        overdue=overdue,
        unserved=dict(zip(map(_text, unserved[::2]), unserved[1::2], strict=True)),
        unserved_oldest=_number(float, unserved_oldest),
        served_ago=_number(float, served_ago),
        unswept=_number(float, unswept),
        paused=paused == 1,
    )


def figures(flat: Sequence[bytes]) -> dict[str, int]:
    """The figures of a minute as `history` answers them, without what is no number."""
    pairs = (
        (_text(name), _number(int, number))
        for name, number in zip(flat[::2], flat[1::2], strict=True)
    )
    return {name: number for name, number in pairs if name and number is not None}


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
        serializer=_serializer(reply[14]),
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
        tags=_tags(reply[15]),
    )


def state_of_fields(
    task_id: str, values: list[Any], moment: bytes | None = None
) -> TaskState[bytes] | None:
    """A task by the values of `STATE_FIELDS`; `moment` is when it is due, if it is delayed."""
    return task_state(task_id, [*values[:_DUE], moment, *values[_DUE:]])


def _state_of(
    task_id: str, get: Callable[[bytes], Any], moment: bytes | None
) -> TaskState[bytes] | None:
    """A task by the fields of its hash; `moment` is when it is due, if it is delayed."""
    return state_of_fields(task_id, [get(name) for name in STATE_FIELDS], moment)


def parcel(
    task_id: str, due: bytes | None, unique_until: bytes | None, flat: Sequence[Any]
) -> Parcel | None:
    """A task, or a dead letter, as `pack` answers it; None if it is not there whole.

    Other programs may have spoilt it: its names, or a moment by which `drop` would know it again.
    """
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    state = _state_of(task_id, get, due)
    moments = (get(b"enqueue_time"), get(b"release_time"))
    if state is None or get(b"body") is None or not all(map(_is_exact, moments)):
        return None
    envelope, failure = _envelope(state, get), None
    if unique_until is not None:
        envelope = structs.replace(envelope, fingerprint=_text(get(b"fingerprint") or b""))
    try:
        check_envelopes([envelope])
    except ConfigurationError:
        return None
    if state.error is not None:
        failure = Failure(state.error_type or "", state.error, state.traceback)
    return Parcel(
        envelope=envelope,
        status=state.status,
        when=(state.release_time if state.status.is_final else state.due_time) or 0.0,
        unique_until=0.0 if unique_until is None else float(unique_until),
        enqueue_time=state.enqueue_time or 0.0,
        last_dequeue_time=state.last_dequeue_time,
        last_requeue_time=state.last_requeue_time,
        dequeue_count=state.dequeue_count,
        requeue_count=state.requeue_count,
        tries=state.tries,
        deaths=state.deaths,
        worker=state.worker,
        failure=failure,
    )


def _is_exact(moment: bytes | None) -> bool:
    """Whether a moment is written as scripts write it, if it is."""
    return moment is None or moment == f"{_finite(moment) or 0.0:.6f}".encode()


def _envelope(state: TaskState[bytes], get: Callable[[bytes], Any]) -> Envelope:
    """What was sent of a task with this state, as far as its hash says."""
    keep_body, lane = get(b"keep_body"), get(b"lane")
    return Envelope(
        id=state.id,
        queue=state.queue,
        task_name=state.task_name,
        body=get(b"body"),
        serializer=state.serializer,
        lane="" if lane is None else _text(lane),
        priority=state.priority,
        timeout=state.timeout,
        max_tries=_number(int, get(b"max_tries")),
        result_ttl=_number(float, get(b"result_ttl")),
        max_deliveries=_number(int, get(b"max_deliveries")),
        ctx=get(b"ctx") or b"",
        tags=state.tags,
        keep_body=None if keep_body is None else keep_body == b"1",
        max_items=_number(int, get(b"max_items")),
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


def _serializer(value: bytes | None) -> str:
    return DEFAULT_SERIALIZER if value is None else _name(value)


def _priority(value: bytes | None) -> Priority:
    return _PRIORITIES.get(value or b"", Priority.NORMAL)


def _tags(value: bytes | None) -> tuple[str, ...]:
    return () if value is None else tuple(filter(is_tag, _text(value).split(" ")))[:MAX_TAGS]


def _streamed(items: bytes | None, dequeue_count: bytes | None) -> int:
    """How many items a task's last delivery has yielded, from the field `items`."""
    attempt, _, total = (items or b"").partition(b" ")
    return (_number(int, total) or 0) if total and attempt == dequeue_count else 0


def _optional_text(value: bytes | None) -> str | None:
    return None if value is None else _text(value)


def _progress(value: bytes | None) -> Progress | None:
    if value is None:
        return None
    try:
        return _progress_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
