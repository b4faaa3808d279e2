"""The slots of a task that waits for others."""

from ltq.broker.flows import NOTE
from ltq.brokers._rules.places import Places


def slot_key(task_id: str, slot: int) -> str:
    """The key of a slot in `Places.arrivals`."""
    return f"{task_id} {slot}"


def keep_until(places: Places, task_id: str, expires: float, now: float) -> None:
    """Keep the slots of a task, if it has any, until a time."""
    count = places.arrival_counts.get(task_id, now)
    keys = [slot_key(task_id, slot) for slot in range(NOTE, 0 if count is None else count.of)]
    for key, value in places.arrivals.several(keys, now).items():
        places.arrivals.set(key, value, expires=expires, now=now)
    if count is not None:
        places.arrival_counts.set(task_id, count, expires=expires, now=now)


def forget(places: Places, task_id: str, now: float) -> None:
    """Forget the slots of a task."""
    count = places.arrival_counts.get(task_id, now)
    for slot in range(NOTE, 0 if count is None else count.of):
        places.arrivals.remove(slot_key(task_id, slot))
    places.arrival_counts.remove(task_id)
