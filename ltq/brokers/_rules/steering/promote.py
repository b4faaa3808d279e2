"""Delayed tasks need not wait any longer."""

from collections.abc import Sequence

from ltq.broker.flows import is_held
from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.state import Status


def promote(places: Places, queue: str, ids: Sequence[str], now: float) -> int:
    """Make delayed tasks of a queue ready, in this order. Returns how many were."""
    places.records.load(ids)
    count = 0
    for task_id in ids:
        record = places.records.get(task_id)
        if record is None or record.queue != queue or record.status is not Status.DELAYED:
            continue
        if is_held(record.when):
            continue  # it waits for others, and not for its time
        moves.become_due(places, record, min(now, record.when))
        count += 1
    return count
