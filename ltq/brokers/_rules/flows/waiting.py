"""Tasks that wait for others: what arrives, and what becomes of them then."""

from collections.abc import Sequence

from msgspec import structs

from ltq.broker.flows import (
    FAILED,
    HELD,
    NOTE,
    Arrival,
    ArrivalCount,
    Arrived,
    Ready,
    WaitingTask,
    is_held,
)
from ltq.brokers._rules import moves
from ltq.brokers._rules.cancel import cancel
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.errors import TaskNotFoundError
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


def arrive(places: Places, now: float, *, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """Put values in the slots of tasks that wait. The answers are in their order."""
    by_id: dict[str, list[int]] = {}
    for position, arrival in enumerate(arrivals):
        by_id.setdefault(arrival.id, []).append(position)
    places.records.load(by_id)
    answers: dict[int, Arrived] = {}
    for task_id, positions in by_id.items():
        some = [arrivals[position] for position in positions]
        answers.update(zip(positions, _arrive_at(places, task_id, some, now), strict=True))
    done = [arrivals[i].ending for i, answer in answers.items() if answer is Arrived.WAITING]
    if any(done):
        places.endings.remove([key for key in done if key])
    return [answers[position] for position in range(len(arrivals))]


def read(places: Places, now: float, *, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
    """A task that waits, or was cancelled with its body kept, and some of its slots."""
    record = places.records.get(task_id)
    if record is None or record.is_expired(now) or not _may_wait(record):
        return None
    values = {**places.arrivals.read(task_id, slots)} if slots else {}
    envelope = record.envelope
    return WaitingTask(
        record.status,
        envelope.body,
        envelope.ctx,
        record.token,
        envelope.serializer,
        values,
        places.arrivals.count(task_id),
    )


def go_on(places: Places, now: float, *, task_id: str, ready: Ready) -> bool:
    """Let a task go on that waits. Returns False if it does not wait."""
    record = find(places, task_id, now)
    if record is None or not waits(record):
        return False
    places.arrivals.remove(task_id)
    if ready.body is not None:
        record.envelope = structs.replace(record.envelope, body=ready.body, eta=None)
        record.enqueue_time = now
        moves.promote(places, record, now)
        return True
    status = Status.COMPLETED
    if ready.failure is not None:
        status, record.failure = Status.REJECTED, ready.failure
    else:
        record.result = ready.result
    moves.settle(places, record, status, _ttl(record), now)
    return True


def cancel_each(places: Places, now: float, *, ids: Sequence[str], result_ttl: float) -> int:
    """Cancel tasks. Returns how many were: unknown and final ones are not."""
    places.records.load(ids)
    return sum(_cancel(places, task_id, result_ttl, now) for task_id in ids)


def restart(places: Places, now: float, *, ids: Sequence[str], waits: bool) -> int:
    """Send cancelled tasks again, under their ids. Returns how many were."""
    places.records.load(ids)
    return sum(_restart(places, task_id, now, waits=waits) for task_id in ids)


class _Slots:
    """The slots of one task, as several arrivals change them. They are written together."""

    def __init__(self, places: Places, task_id: str, arrivals: Sequence[Arrival]) -> None:
        self._arrivals = places.arrivals
        self._task_id = task_id
        self._values = {**places.arrivals.read(task_id, {one.slot for one in arrivals})}
        self._changed: dict[int, bytes] = {}
        self.count = places.arrivals.count(task_id) or ArrivalCount(arrivals[0].of)

    def put(self, arrival: Arrival) -> bool:
        """Put a value in its slot. Returns whether it has come after all."""
        before = self._values.get(arrival.slot)
        comes_after_all = before == FAILED and not arrival.failed
        if before is None or comes_after_all:
            value = FAILED if arrival.failed else b"=" + arrival.value
            self._values[arrival.slot] = self._changed[arrival.slot] = value
            if arrival.slot > NOTE:
                values = self.count.values + (not arrival.failed)
                failed = self.count.failed + arrival.failed - comes_after_all
                self.count = ArrivalCount(arrival.of, values, failed)
        return comes_after_all

    def has_failed(self, slot: int) -> bool:
        """Whether what belongs in a slot will not come. It may have come after all already."""
        return self._values[slot] == FAILED

    def write(self, expires: float) -> None:
        """Write what has changed, to be kept until a time."""
        if self._changed:
            count = self.count if any(slot > NOTE for slot in self._changed) else None
            self._arrivals.write(self._task_id, self._changed, count, expires)
            self._changed = {}


def _arrive_at(
    places: Places, task_id: str, arrivals: Sequence[Arrival], now: float
) -> list[Arrived]:
    record = find(places, task_id, now)
    if record is None or not _may_wait(record):
        return [Arrived.ENDED] * len(arrivals)
    slots = _Slots(places, task_id, arrivals)
    answers = [_arrive(places, arrival, slots, now) for arrival in arrivals]
    slots.write(_expiry(places, task_id))
    return answers


def _arrive(places: Places, arrival: Arrival, slots: _Slots, now: float) -> Arrived:
    comes_after_all = slots.put(arrival)
    record = places.records.get(arrival.id)
    if arrival.slot <= NOTE or record is None:
        return Arrived.WAITING
    if arrival.failed and slots.has_failed(arrival.slot):
        if waits(record):
            slots.write(HELD)
            _cancel(places, record.id, _ttl(record), now)
        return Arrived.STOPPED
    if record.status is Status.CANCELLED:
        if arrival.failed or slots.count.failed or not (comes_after_all and arrival.revives):
            return Arrived.STOPPED
        _restart(places, record.id, now, waits=True)
    return Arrived.FULL if slots.count.values == slots.count.of else Arrived.WAITING


def _expiry(places: Places, task_id: str) -> float:
    """Until when the slots of a task are kept."""
    record = places.records.get(task_id)
    return HELD if record is None or waits(record) else record.when


def _cancel(places: Places, task_id: str, result_ttl: float, now: float) -> bool:
    try:
        return cancel(places, task_id, result_ttl, now)
    except TaskNotFoundError:
        return False


def _restart(places: Places, task_id: str, now: float, *, waits: bool) -> bool:
    record = find(places, task_id, now)
    if record is None or record.status is not Status.CANCELLED or not record.keeps_body:
        return False
    again = _again(places, record, now)
    if waits:
        places.arrivals.remove(task_id, [NOTE])
        places.arrivals.keep_until(task_id, HELD)
        moves.delay(places, again, HELD)
    else:
        moves.enqueue(places, again)
    return True


def _again(places: Places, record: Record, now: float) -> Record:
    """The task of a cancelled record as if it were sent now, with a token of its own."""
    places.records.remove(record)
    serializer = record.body_serializer or record.envelope.serializer
    envelope = structs.replace(record.envelope, delay=0.0, eta=None, serializer=serializer)
    return Record(
        envelope,
        enqueue_time=now,
        token=record.token + 1,
        dequeue_count=record.dequeue_count,
        requeue_count=record.requeue_count,
        last_dequeue_time=record.last_dequeue_time,
        last_requeue_time=record.last_requeue_time,
        worker=record.worker,
    )


def waits(record: Record) -> bool:
    """Whether a task waits for others."""
    return record.status is Status.DELAYED and is_held(record.when)


def _may_wait(record: Record) -> bool:
    return waits(record) or (record.status is Status.CANCELLED and record.keeps_body)


def _ttl(record: Record) -> float:
    own = record.envelope.result_ttl
    return DEFAULT_RESULT_TTL if own is None else own
