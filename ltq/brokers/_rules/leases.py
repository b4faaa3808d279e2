"""What the holder of a lease may do before the task ends: renew it, and show progress."""

from collections.abc import Sequence

from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Lease
from ltq.state import Progress, Status


def held_record(places: Places, lease: Lease, now: float) -> Record | None:
    """The record of a lease's task; None if the lease is lost."""
    record = find(places, lease.id, now)
    return record if record is not None and record.is_held_by(lease) else None


def renew(places: Places, leases: Sequence[Lease], duration: float, now: float) -> list[bool]:
    """Let leases last `duration` seconds from now. Returns, in order, whether each still held."""
    places.records.load(lease.id for lease in leases)
    return [_renew_one(places, lease, now + duration, now) for lease in leases]


def show_progress(places: Places, lease: Lease, progress: Progress, now: float) -> bool:
    """Show progress in a task's state. Returns False if the lease is lost."""
    record = held_record(places, lease, now)
    if record is None:
        return False
    record.progress = progress
    places.records.save(record)
    places.listener.changed(record)
    return True


def _renew_one(places: Places, lease: Lease, end: float, now: float) -> bool:
    record = held_record(places, lease, now)
    if record is None:
        return False
    places.records.place(record, Status.WORKING, end)
    return True
