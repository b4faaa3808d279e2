"""Recording what became of deliveries, each fenced by the token of its lease."""

from collections.abc import Sequence

from msgspec import structs

from ltq.brokers._rules import dead_letters, moves, throughput
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Finish, Outcome, Receipt, Requeue
from ltq.state import Status


def finish(places: Places, outcomes: Sequence[Outcome], now: float) -> list[Receipt]:
    """Record outcomes; the receipts are in their order."""
    places.records.load(outcome.lease.id for outcome in outcomes)
    return [_finish_one(places, outcome, now) for outcome in outcomes]


def _finish_one(places: Places, outcome: Outcome, now: float) -> Receipt:
    lease = outcome.lease
    record = find(places, lease.id, now)
    if record is None:
        return Receipt.OK if places.ended_tokens.get(lease.id) == lease.token else Receipt.GONE
    if record.status is Status.CANCELLED:
        return Receipt.CANCELLED
    if record.token != lease.token:
        is_repeated = isinstance(outcome, Requeue) and record.returned == lease.token
        return Receipt.OK if is_repeated else Receipt.STALE
    if record.status is not Status.WORKING:
        return Receipt.OK  # under its present token, only this very outcome can have ended it
    record.failure = outcome.failure
    record.deaths = 0  # its run has ended by itself: it does not kill workers
    if isinstance(outcome, Finish):
        _end(places, record, outcome, now)
    else:
        _requeue(places, record, outcome, now)
    return Receipt.OK


def _end(places: Places, record: Record, outcome: Finish, now: float) -> None:
    if outcome.dead:
        dead_letters.bury(places, record, outcome.status, now)
    if outcome.status is Status.COMPLETED or outcome.result:
        record.result = outcome.result
    queue, token = record.queue, record.token
    moves.settle(places, record, outcome.status, outcome.result_ttl, now, token=token)
    throughput.mark(places, queue, now)


def _requeue(places: Places, record: Record, outcome: Requeue, now: float) -> None:
    record.progress = None
    record.returned = record.token
    record.tries += outcome.failed
    if outcome.ctx is not None:
        record.envelope = structs.replace(record.envelope, ctx=outcome.ctx)
    if outcome.timeout is not None:
        record.envelope = structs.replace(record.envelope, timeout=outcome.timeout)
    if outcome.delay > 0:
        moves.delay(places, record, now + outcome.delay)
    else:
        moves.put_back(places, record, now, front=outcome.front)
