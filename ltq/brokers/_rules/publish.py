"""Enqueueing tasks: ids that exist already, fingerprints, and how many tasks may wait."""

from collections.abc import Sequence

from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Envelope, Published
from ltq.state import Status


def publish(places: Places, envelopes: Sequence[Envelope], now: float) -> list[Published]:
    """Enqueue all envelopes. The answers are in their order."""
    places.records.load(envelope.id for envelope in envelopes)
    return [publish_one(places, envelope, now) for envelope in envelopes]


def publish_one(places: Places, envelope: Envelope, now: float) -> Published:
    """Enqueue one envelope, unless its id, fingerprint or `max_pending` forbids that."""
    present = find(places, envelope.id, now)
    if present is not None:
        is_same_task = present.envelope.task_name == envelope.task_name
        return Published.EXISTS if is_same_task else Published.ID_CONFLICT
    if envelope.fingerprint and first(places, envelope.fingerprint, now) is not None:
        return Published.DUPLICATE
    if _is_full(places, envelope):
        return Published.FULL
    if envelope.fingerprint:
        until = now + envelope.unique_for
        places.fingerprints.set(envelope.fingerprint, envelope.id, expires=until, now=now)
    places.queues.add(envelope.queue)
    record = Record(envelope, enqueue_time=now)
    due = max(now + envelope.delay, envelope.eta or 0.0)
    if due > now:
        moves.delay(places, record, due)
    else:
        moves.enqueue(places, record)
    return Published.CREATED


def first(places: Places, fingerprint: str, now: float) -> str | None:
    """The id of the task that was sent with a fingerprint, unless that is too long ago."""
    return places.fingerprints.get(fingerprint, now)


def _is_full(places: Places, envelope: Envelope) -> bool:
    if envelope.max_pending is None:
        return False
    ready = sum(sum(lane.ready) for lane in places.lanes.of(envelope.queue))
    delayed = places.queues.count(envelope.queue, Status.DELAYED)
    return ready + delayed >= envelope.max_pending
