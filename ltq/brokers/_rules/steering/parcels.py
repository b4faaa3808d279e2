"""Tasks and dead letters on their way to another store, and from there."""

from collections.abc import Sequence

from ltq.broker.moving import ADOPTED_TTL, Parcel
from ltq.brokers._rules import dead_letters, moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers._rules.retention import find
from ltq.message import Envelope, Published
from ltq.options import DEAD_TTL, MAX_DEAD
from ltq.state import Status

_KEPT = (
    "id",
    "queue",
    "task_name",
    "body",
    "serializer",
    "lane",
    "priority",
    "timeout",
    "max_tries",
    "result_ttl",
    "max_deliveries",
    "ctx",
    "tags",
    "keep_body",
    "max_items",
)
"""What an envelope says of a task that was sent already."""


def pack(places: Places, queue: str, ids: Sequence[str], now: float) -> list[Parcel | None]:
    """See `Mover.pack`."""
    places.records.load(ids)
    found = map(places.records.get, ids)
    return [
        _parcel(places, one, one.status, one.when if one.status is Status.DELAYED else 0.0, now)
        if one is not None and one.queue == queue and _waits(one)
        else None
        for one in found
    ]


def pack_dead(places: Places, queue: str, ids: Sequence[str], now: float) -> list[Parcel | None]:
    """See `Mover.pack_dead`."""
    found = (dead_letters.find_dead(places, queue, task_id, now) for task_id in ids)
    return [
        None if one is None else _parcel(places, one.record, one.status, one.time, now)
        for one in found
    ]


def adopt(places: Places, parcels: Sequence[Parcel], now: float) -> list[Published]:
    """See `Mover.adopt`."""
    places.records.load(one.envelope.id for one in parcels)
    return [_adopt_one(places, one, now) for one in parcels]


def drop(places: Places, parcels: Sequence[Parcel], now: float) -> list[bool]:
    """For each parcel, whether it is not here any more. See `Mover.drop`."""
    places.records.load(one.envelope.id for one in parcels)
    return [_drop_one(places, one, now) for one in parcels]


def _adopt_one(places: Places, parcel: Parcel, now: float) -> Published:
    if places.fingerprints.get(parcel.mark, now) is not None:
        return Published.EXISTS
    answer = _take_letter(places, parcel, now) if parcel.is_dead else _take(places, parcel, now)
    if answer is Published.CREATED:
        places.queues.add(parcel.envelope.queue)
        until = now + ADOPTED_TTL
        places.fingerprints.set(parcel.mark, parcel.envelope.id, expires=until, now=now)
        _keep_unique(places, parcel, now)
    return answer


def _keep_unique(places: Places, parcel: Parcel, now: float) -> None:
    """Let others with its fingerprint be duplicates, unless another one was the first here."""
    fingerprint, until = parcel.envelope.fingerprint, parcel.unique_until
    if fingerprint and until > now and places.fingerprints.get(fingerprint, now) is None:
        places.fingerprints.set(fingerprint, parcel.envelope.id, expires=until, now=now)


def _take(places: Places, parcel: Parcel, now: float) -> Published:
    present = find(places, parcel.envelope.id, now)
    if present is not None:
        return Published.EXISTS if _is_of(present, parcel) else Published.ID_CONFLICT
    record = _record(parcel)
    if parcel.status is Status.DELAYED:
        moves.delay(places, record, parcel.when)
    else:
        moves.enqueue(places, record)
    return Published.CREATED


def _take_letter(places: Places, parcel: Parcel, now: float) -> Published:
    known = places.dead.get(parcel.envelope.id, now - DEAD_TTL)
    if known is not None and known.time >= parcel.when:
        return Published.EXISTS
    places.dead.put(DeadRecord(_record(parcel), parcel.status, parcel.when), most=MAX_DEAD)
    return Published.CREATED


def _drop_one(places: Places, parcel: Parcel, now: float) -> bool:
    envelope = parcel.envelope
    if parcel.is_dead:
        known = dead_letters.find_dead(places, envelope.queue, envelope.id, now)
        if known is not None and f"{known.time:.6f}" == parcel.died:
            places.dead.remove(envelope.queue, {envelope.id})
    else:
        record = places.records.get(envelope.id)
        if record is not None and _is_of(record, parcel):
            if not _waits(record):
                return False
            moves.remove(places, record)
    places.fingerprints.remove(parcel.mark)
    return True


def _waits(record: Record) -> bool:
    return record.status in (Status.PENDING, Status.DELAYED)


def _is_of(record: Record, parcel: Parcel) -> bool:
    """Whether a record is the task that was packed, and not another one with its id."""
    is_same_name = record.envelope.task_name == parcel.envelope.task_name
    return is_same_name and f"{record.enqueue_time:.6f}" == parcel.sent


def _parcel(places: Places, record: Record, status: Status, when: float, now: float) -> Parcel:
    envelope = record.envelope
    kept = {name: getattr(envelope, name) for name in _KEPT}
    fingerprint, until = envelope.fingerprint, 0.0
    if fingerprint and places.fingerprints.get(fingerprint, now) == envelope.id:
        until = places.fingerprints.expiry(fingerprint, now)
    return Parcel(
        envelope=Envelope(**kept, fingerprint=fingerprint if until else ""),
        status=status,
        when=when,
        unique_until=until,
        enqueue_time=record.enqueue_time,
        last_dequeue_time=record.last_dequeue_time,
        last_requeue_time=record.last_requeue_time,
        dequeue_count=record.dequeue_count,
        requeue_count=record.requeue_count,
        tries=record.tries,
        deaths=record.deaths,
        worker=record.worker,
        failure=record.failure,
    )


def _record(parcel: Parcel) -> Record:
    return Record(
        parcel.envelope,
        enqueue_time=parcel.enqueue_time,
        last_dequeue_time=parcel.last_dequeue_time,
        last_requeue_time=parcel.last_requeue_time,
        dequeue_count=parcel.dequeue_count,
        requeue_count=parcel.requeue_count,
        tries=parcel.tries,
        deaths=parcel.deaths,
        worker=parcel.worker,
        failure=parcel.failure,
    )
