"""The replies of scripts as values of the seam.

Fields of a task that cannot be read count as absent: other programs may have written them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import structs

from ltq.broker import SeenWorker, WorkerEntry, check_envelopes
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import SlotReceipt
from ltq.brokers.redis._scripts.fields import (
    as_finite,
    as_number,
    as_optional_text,
    as_serializer,
    as_tags,
    as_text,
    claimed_at,
)
from ltq.errors import ConfigurationError
from ltq.message import DeadLetter, Envelope, Failure, Published, Receipt
from ltq.options import Priority
from ltq.state import Progress, QueueStats, Status, TaskDetail, TaskState

PUBLISHED = {answer.value.encode(): answer for answer in Published}
_NOT_FIRED = (b"", b"other", b"taken_over", b"gone", b"paused", b"passed")
RECEIPTS = {answer.value.encode(): answer for answer in Receipt}

_STATUSES = {status.value.encode(): status for status in Status}

_PRIORITIES = {f"{priority:d}".encode(): priority for priority in Priority}

STATE_FIELDS = tuple(
    b"""
    status task queue enqueue_time last_dequeue_time last_requeue_time release_time dequeue_count
    requeue_count timeout worker progress result error error_type traceback deaths serializer
    priority tries tags items token
    """.split()
)
"""The fields of a task in the order of `states`, but for the due time."""

_DUE = 17
"""Where `states` answers the due time."""

_TOLD_DIGITS = 9
"""Most digits of the size of a told result. Python reads no number of very many."""

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


def published(answers: list[Any]) -> list[Published]:
    """What became of tasks as `send` answers it: one answer for each, or how many were created."""
    if len(answers) == 1 and isinstance(answers[0], int):
        return [Published.CREATED] * answers[0]
    return [PUBLISHED[answer] for answer in answers]


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
    worker: bytes | None, task_name: bytes | None, since: bytes | None, token: bytes | None
) -> tuple[str, str, float | None] | None:
    """Who holds a task, its name, and since when, as `holders` answers it; None for no holder."""
    if worker is None:
        return None
    return as_text(worker), as_text(task_name or b""), claimed_at(since, token)


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


def task_state(task_id: str, reply: Sequence[Any]) -> TaskState[bytes] | None:
    """A task as `states` answers it; None if it does not exist or has an unknown status."""
    status = _STATUSES.get(reply[0])
    if status is None:
        return None
    name = as_text(reply[1] or b"")
    return TaskState(
        id=task_id,
        task_name=name,
        queue=name if reply[2] is None else as_text(reply[2]),
        status=status,
        priority=_priority(reply[19]),
        tags=as_tags(reply[21]),
        enqueue_time=as_number(float, reply[3]),
        last_dequeue_time=claimed_at(reply[4], reply[23] if reply[7] else None),
        last_requeue_time=as_number(float, reply[5]),
        release_time=as_number(float, reply[6]),
        due_time=as_finite(reply[17]) if status is Status.DELAYED else None,
        dequeue_count=as_number(int, reply[7]) or 0,
        requeue_count=as_number(int, reply[8]) or 0,
        tries=(as_number(int, reply[20]) or 0) + (status is Status.FAILED),
        deaths=as_number(int, reply[16]) or 0,
        timeout=as_number(float, reply[9]),
        worker=as_optional_text(reply[10]),
        progress=_progress(reply[11]),
        result=reply[12],
        serializer=as_serializer(reply[18]),
        error=as_optional_text(reply[13]),
        error_type=as_optional_text(reply[14]),
        traceback=as_optional_text(reply[15]),
        items=_streamed(reply[22], reply[7]),
    )


def told_state(task_id: str, text: bytes) -> TaskState[bytes] | None:
    """The final state of a task as `finish` tells it; None for any other text."""
    size, _, rest = text.partition(b"\n")
    if not size.isdigit() or len(size) > _TOLD_DIGITS:
        return None
    end = len(rest) - int(size)
    *words, last = rest[:end].split(b"\n")
    if last or len(words) % 2:
        return None
    fields = dict(zip(words[::2], words[1::2], strict=True))
    fields[b"result"] = rest[end:]
    state = _state_of(task_id, fields.get, None)
    return state if state is not None and state.status.is_final else None


def task_detail(task_id: str, flat: Sequence[Any], moment: bytes | None) -> TaskDetail | None:
    """A task as `tasks` answers it; None if it has an unknown status."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    get = fields.get
    state = _state_of(task_id, get, moment)
    if state is None:
        return None
    body = get(b"body")
    if not body and state.status is Status.COMPLETED and get(b"keep_body") != b"1":
        body = None  # it was emptied
    return TaskDetail.of(
        state,
        body=body,
        ctx=get(b"ctx", b""),
        max_tries=as_number(int, get(b"max_tries")),
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
        oldest=as_number(float, oldest),
        overdue=overdue,
        unserved=dict(zip(map(as_text, unserved[::2]), unserved[1::2], strict=True)),
        unserved_oldest=as_number(float, unserved_oldest),
        served_ago=as_number(float, served_ago),
        unswept=as_number(float, unswept),
        paused=paused == 1,
    )


def figures(flat: Sequence[bytes]) -> dict[str, int]:
    """The figures of a minute as `history` answers them, without what is no number."""
    pairs = (
        (as_text(name), as_number(int, number))
        for name, number in zip(flat[::2], flat[1::2], strict=True)
    )
    return {name: number for name, number in pairs if name and number is not None}


def dead_letter(task_id: str, reply: Sequence[Any]) -> DeadLetter | None:
    """A letter as `dead_letters` answers it; None if there is none or its status is unknown."""
    status = _STATUSES.get(reply[0])
    if status is None:
        return None
    name = as_text(reply[1] or b"")
    return DeadLetter(
        id=task_id,
        task_name=name,
        queue=name if reply[2] is None else as_text(reply[2]),
        status=status,
        body=reply[10],
        serializer=as_serializer(reply[14]),
        error=as_optional_text(reply[11]),
        error_type=as_optional_text(reply[12]),
        traceback=as_optional_text(reply[13]),
        time=as_number(float, reply[3]) or 0.0,
        enqueue_time=as_number(float, reply[4]),
        tries=(as_number(int, reply[5]) or 0) + (status is Status.FAILED),
        dequeue_count=as_number(int, reply[6]) or 0,
        requeue_count=as_number(int, reply[7]) or 0,
        deaths=as_number(int, reply[8]) or 0,
        worker=as_optional_text(reply[9]),
        tags=as_tags(reply[15]),
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
        envelope = structs.replace(envelope, fingerprint=as_text(get(b"fingerprint") or b""))
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
    return moment is None or moment == f"{as_finite(moment) or 0.0:.6f}".encode()


def _envelope(state: TaskState[bytes], get: Callable[[bytes], Any]) -> Envelope:
    """What was sent of a task with this state, as far as its hash says."""
    keep_body, lane = get(b"keep_body"), get(b"lane")
    return Envelope(
        id=state.id,
        queue=state.queue,
        task_name=state.task_name,
        body=get(b"body"),
        serializer=state.serializer,
        lane="" if lane is None else as_text(lane),
        priority=state.priority,
        timeout=state.timeout,
        max_tries=as_number(int, get(b"max_tries")),
        result_ttl=as_number(float, get(b"result_ttl")),
        max_deliveries=as_number(int, get(b"max_deliveries")),
        ctx=get(b"ctx") or b"",
        tags=state.tags,
        keep_body=None if keep_body is None else keep_body == b"1",
        max_items=as_number(int, get(b"max_items")),
    )


def _rate(value: bytes) -> float:
    return as_finite(value) or 0.0  # its counts may be spoilt


def _priority(value: bytes | None) -> Priority:
    return _PRIORITIES.get(value or b"", Priority.NORMAL)


def _streamed(items: bytes | None, dequeue_count: bytes | None) -> int:
    """How many items a task's last delivery has yielded, from the field `items`."""
    attempt, _, total = (items or b"").partition(b" ")
    return (as_number(int, total) or 0) if total and attempt == dequeue_count else 0


def _progress(value: bytes | None) -> Progress | None:
    if value is None:
        return None
    try:
        return _progress_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
