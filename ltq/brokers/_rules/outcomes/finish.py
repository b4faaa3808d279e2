"""Recording what became of deliveries, each fenced by the token of its lease."""

from collections.abc import Sequence

from msgspec import structs

from ltq.brokers._rules import dead_letters, history, moves
from ltq.brokers._rules.outcomes.early import EarlyArrivals
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Finish, Outcome, Receipt, Requeue
from ltq.state import Status


def finish(places: Places, outcomes: Sequence[Outcome], now: float) -> list[Receipt]:
    """Record outcomes; the receipts are in their order."""
    places.records.load(outcome.lease.id for outcome in outcomes)
    ended, early = history.Ended(), EarlyArrivals(places, outcomes, now)
    receipts = [_finish_one(places, outcome, ended, early, now) for outcome in outcomes]
    early.write()
    history.have_run(places, ended, now)
    if any(not isinstance(outcome, Finish) and outcome.front for outcome in outcomes):
        found = (places.records.get(outcome.lease.id) for outcome in outcomes)
        moves.keep_order(places, [one for one in found if one is not None and one.is_in_front])
    return receipts


def _finish_one(
    places: Places, outcome: Outcome, ended: history.Ended, early: EarlyArrivals, now: float
) -> Receipt:
    lease = outcome.lease
    record = find(places, lease.id, now)
    if record is None:
        token, status = places.ended_tokens.get(lease.id) or (0, None)
        if token != lease.token:
            return Receipt.GONE
        is_repeated = isinstance(outcome, Finish) and outcome.status is status
        return Receipt.OK if is_repeated else Receipt.STALE
    if not record.is_held_by(lease):
        if record.status is Status.CANCELLED:
            return Receipt.CANCELLED
        return Receipt.OK if _is_recorded(record, outcome) else Receipt.STALE
    if isinstance(outcome, Finish):
        has_arrived = early.put(outcome)
        _end(places, record, outcome, now, leaves_ending=not has_arrived)
        ended.last.append(record)
        ended.statuses[record.envelope.queue, outcome.status] += 1
        return Receipt.ARRIVED if has_arrived else Receipt.OK
    _requeue(places, record, outcome, now)
    if not outcome.is_void:
        ended.retried.append(record)
    return Receipt.OK


def _is_recorded(record: Record, outcome: Outcome) -> bool:
    """Whether an outcome was recorded before: this kind by this lease, with this status."""
    if isinstance(outcome, Finish):
        return (record.token, record.status) == (outcome.lease.token, outcome.status)
    return record.returned == outcome.lease.token


def _end(
    places: Places, record: Record, outcome: Finish, now: float, *, leaves_ending: bool
) -> None:
    record.failure = outcome.failure
    if not outcome.is_poison:
        record.deaths = 0  # its run has ended by itself: it does not kill workers
    if outcome.dead:
        claimed = record.envelope
        if outcome.ctx is not None:  # it is for the letter: a rerun begins with what was claimed
            record.envelope = structs.replace(claimed, ctx=outcome.ctx)
        dead_letters.bury(places, record, outcome.status, now)
        record.envelope = claimed
    if record.envelope.serializer != outcome.serializer:
        record.body_serializer = record.envelope.serializer
        record.envelope = structs.replace(record.envelope, serializer=outcome.serializer)
    if outcome.result or outcome.status is Status.COMPLETED:
        record.result = outcome.result
    status, ttl = outcome.status, outcome.result_ttl
    if leaves_ending:
        moves.note_ending(places, record, status, now, outcome.follow)
    moves.become_final(places, record, status, ttl, now, token=record.token)


def _requeue(places: Places, record: Record, outcome: Requeue, now: float) -> None:
    if outcome.failure is not None or not outcome.is_void:
        record.failure = outcome.failure
    if not outcome.is_void:
        record.deaths = 0
    record.progress = None
    record.returned, record.front = record.token, outcome.front
    record.tries += outcome.failed
    if outcome.ctx is not None:
        record.envelope = structs.replace(record.envelope, ctx=outcome.ctx)
    if outcome.timeout is not None:
        record.envelope = structs.replace(record.envelope, timeout=outcome.timeout)
    if outcome.delay > 0:
        moves.delay(places, record, now + outcome.delay)
    else:
        moves.put_back(places, record, now, front=outcome.front)
