"""What the holder of a lease may do before the task ends: renew it, show progress, add items."""

from collections.abc import Sequence
from typing import cast

from ltq.brokers._rules.moves import forget_items
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.message import Lease
from ltq.state import Items, Progress, Status


def renew(places: Places, leases: Sequence[Lease], duration: float, now: float) -> list[bool]:
    """Let leases last `duration` seconds from now. Returns, in order, whether each still held."""
    places.records.load(lease.id for lease in leases)
    return [_renew_one(places, lease, now + duration, now) for lease in leases]


def show_progress(places: Places, lease: Lease, progress: Progress, now: float) -> bool:
    """Show progress in a task's state. Returns False if the lease is lost."""
    record = _held(places, lease, now)
    if record is None:
        return False
    record.progress = progress
    places.records.save(record)
    places.listener.changed(record)
    return True


def append(
    places: Places, lease: Lease, first: int, items: Sequence[bytes], most: int, now: float
) -> bool:
    """Add items to a stream, `first` of which were there. Returns False if the lease is lost."""
    record = _held(places, lease, now)
    if record is None or not items:
        return record is not None
    if record.items_of != record.dequeue_count or first > record.items:  # or some were lost
        forget_items(places, record)
        record.items_of, record.items = record.dequeue_count, first
    new = items[record.items - first :]
    if new:
        places.items.append(record, new, most)
        record.items += len(new)
        places.records.save(record)
        places.listener.changed(record)
    return True


def read_items(
    places: Places, task_id: str, attempt: int, after: int, limit: int, now: float
) -> Items | None:
    """Some items of a task's last delivery."""
    record = places.records.get(task_id)
    if record is None or record.is_expired(now):
        return None
    total, behind = record.streamed, after if attempt == record.dequeue_count else 0
    first, items = behind, cast(Sequence[bytes], ())
    if behind < total:
        first, items = places.items.read(record, behind, limit)
    return Items(attempt=record.dequeue_count, first=first, items=tuple(items), total=total)


def _renew_one(places: Places, lease: Lease, end: float, now: float) -> bool:
    record = _held(places, lease, now)
    if record is None:
        return False
    places.records.place(record, Status.WORKING, end)
    return True


def _held(places: Places, lease: Lease, now: float) -> Record | None:
    record = find(places, lease.id, now)
    return record if record is not None and record.is_held_by(lease) else None
