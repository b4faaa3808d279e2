"""Taking back claims that nobody got: their tasks wait again, as before."""

from collections.abc import Sequence

from ltq.brokers._rules import history, moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Lease


def unclaim(places: Places, leases: Sequence[Lease], now: float) -> list[bool]:
    """Let tasks that were not begun wait in front of their lanes. Returns which leases still held.

    This counts neither as a delivery nor as a death.
    """
    places.records.load(lease.id for lease in leases)
    records = [find(places, lease.id, now) for lease in leases]
    held = [
        record if record is not None and record.is_held_by(lease) else None
        for record, lease in zip(records, leases, strict=True)
    ]
    returned = [record for record in held if record is not None]
    for record in returned:
        _give_back(places, record)
    moves.keep_order(places, returned)
    return [record is not None for record in held]


def _give_back(places: Places, record: Record) -> None:
    history.unclaimed(places, record)
    record.dequeue_count -= 1
    if record.dequeue_count == 0:
        record.last_dequeue_time = record.worker = None
    record.token += 1  # so that nobody can end it by the lease that it had
    record.returned, record.front = record.token, True
    moves.enqueue(places, record, front=True)
