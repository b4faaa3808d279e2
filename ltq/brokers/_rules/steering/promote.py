"""Delayed tasks need not wait any longer."""

from collections.abc import Sequence

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
        moves.become_due(places, record, min(now, record.when))
        count += 1
    return count
