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
    HeldTask,
    Ready,
    is_held,
)
from ltq.brokers._rules import moves
from ltq.brokers._rules.cancel import cancel
from ltq.brokers._rules.flows.slots import forget, keep_until, slot_key
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.errors import TaskNotFoundError
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


def arrive(places: Places, now: float, *, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """Put values in the slots of tasks that wait. The answers are in their order."""
    places.records.load({arrival.id for arrival in arrivals})
    return [_arrive(places, arrival, now) for arrival in arrivals]


def read(places: Places, now: float, *, task_id: str, slots: Sequence[int]) -> HeldTask | None:
    """A task that waits, or was cancelled with its body kept, and some of its slots."""
    record = find(places, task_id, now)
    if record is None or not _may_wait(record):
        return None
    keys = {slot_key(task_id, slot): slot for slot in slots}
    found = places.arrivals.several(keys, now)
    values = {slot: found[key] for key, slot in keys.items() if key in found}
    count = places.arrival_counts.get(task_id, now)
    envelope = record.envelope
    return HeldTask(
        record.status,
        envelope.body,
        envelope.ctx,
        record.token,
        envelope.serializer,
        values,
        count,
    )


def go_on(places: Places, now: float, *, task_id: str, ready: Ready) -> bool:
    """Let a task go on that waits. Returns False if it does not wait."""
    record = find(places, task_id, now)
    if record is None or not _waits(record):
        return False
    forget(places, task_id, now)
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


def _arrive(places: Places, arrival: Arrival, now: float) -> Arrived:
    record = find(places, arrival.id, now)
    if record is None or not _may_wait(record):
        return Arrived.ENDED
    key, value = (
        slot_key(arrival.id, arrival.slot),
        FAILED if arrival.failed else b"=" + arrival.value,
    )
    before = places.arrivals.get(key, now)
    is_new = before is None or (before == FAILED and not arrival.failed)
    if is_new:
        places.arrivals.set(key, value, expires=HELD, now=now)
    if arrival.slot <= NOTE:
        return Arrived.WAITING
    count = places.arrival_counts.get(arrival.id, now) or ArrivalCount(arrival.of)
    if is_new:
        count = ArrivalCount(
            arrival.of,
            count.values + (not arrival.failed),
            count.failed + arrival.failed - (before == FAILED),
        )
        places.arrival_counts.set(arrival.id, count, expires=HELD, now=now)
    return _answer(places, record, arrival, count, now, comes_after_all=before == FAILED)


def _answer(
    places: Places,
    record: Record,
    arrival: Arrival,
    count: ArrivalCount,
    now: float,
    *,
    comes_after_all: bool,
) -> Arrived:
    if arrival.failed:
        if _waits(record):
            _cancel(places, record.id, _ttl(record), now)
        return Arrived.STOPPED
    if record.status is Status.CANCELLED:
        if count.failed or not (comes_after_all and arrival.revives):
            return Arrived.STOPPED
        _restart(places, record.id, now, waits=True)
    return Arrived.FULL if count.values == count.of else Arrived.WAITING


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
        places.arrivals.remove(slot_key(task_id, NOTE))
        keep_until(places, task_id, HELD, now)
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


def _waits(record: Record) -> bool:
    return record.status is Status.DELAYED and is_held(record.when)


def _may_wait(record: Record) -> bool:
    return _waits(record) or (record.status is Status.CANCELLED and record.keeps_body)


def _ttl(record: Record) -> float:
    own = record.envelope.result_ttl
    return DEFAULT_RESULT_TTL if own is None else own
