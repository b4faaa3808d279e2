"""Items of streams: added under the lease of the delivery that yields them, and read by anybody."""

from collections.abc import Sequence
from typing import cast

from ltq.brokers._rules.leases import held_record
from ltq.brokers._rules.moves import forget_items
from ltq.brokers._rules.places import Places
from ltq.message import Lease
from ltq.state import Items


def append(
    places: Places, lease: Lease, first: int, items: Sequence[bytes], most: int, now: float
) -> bool:
    """Add items to a stream, `first` of which were there. Returns False if the lease is lost."""
    record = held_record(places, lease, now)
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


def read(
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
