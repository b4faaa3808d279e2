"""Final states are forgotten when they have been kept long enough."""

from ltq.brokers._rules.moves import remove
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record

MOST_FORGOTTEN = 1000
"""Most expired states that one step forgets. Those that are left are not shown either."""


def find(places: Places, task_id: str, now: float) -> Record | None:
    """The record of an id, unless it is unknown or its final state has expired."""
    record = places.records.get(task_id)
    if record is not None and record.is_expired(now):
        remove(places, record)
        return None
    return record


def forget_expired(places: Places, now: float) -> None:
    """Forget final states that have expired."""
    for record in places.final.due(now, MOST_FORGOTTEN):
        remove(places, record)
