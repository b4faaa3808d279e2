"""A sweep: due tasks become ready, and those of dead workers are recovered or buried."""

from ltq.broker.isolation import cause_of_death
from ltq.brokers._rules import dead_letters, moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.poison import is_poison
from ltq.brokers._rules.record import Record
from ltq.message import Swept
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status

MOST_SWEPT = 1000
"""Most delayed and most leased tasks that one sweep moves."""


def sweep(places: Places, now: float) -> Swept:
    """Make due tasks ready, and recover the tasks of dead workers."""
    promoted = places.delayed.due(now, MOST_SWEPT)
    for record in promoted:
        moves.become_due(places, record, record.when)
    lost = sorted(places.leased.due(now, MOST_SWEPT), key=_order_of_claims)
    buried = sum(_recover(places, record, now) for record in lost)
    return Swept(recovered=len(lost) - buried, promoted=len(promoted), buried=buried)


def _order_of_claims(record: Record) -> int:
    return record.token


def _recover(places: Places, record: Record, now: float) -> bool:
    """Take a task from a dead worker. Returns whether it was buried instead of made ready."""
    record.progress = None
    record.deaths += 1
    record.token += 1  # so that its last holder cannot end it any more
    if not is_poison(record):
        moves.put_back(places, record, now)
        return False
    record.failure = cause_of_death(record.deaths)
    dead_letters.bury(places, record, Status.REJECTED, now)
    ttl = record.envelope.result_ttl
    ttl = DEFAULT_RESULT_TTL if ttl is None else ttl
    moves.settle(places, record, Status.REJECTED, ttl, now)
    return True
