"""The moves of a record from one place to another. They also notify the listener."""

from msgspec import structs

from ltq.brokers._rules.constants import MAX_ENDED
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.state import Status


def enqueue(places: Places, record: Record, *, front: bool = False) -> None:
    """Make a task ready: behind the others of its lane and priority, or before them."""
    places.records.place(record, Status.PENDING, front=front)
    places.listener.ready(record.lane)
    places.listener.changed(record)


def delay(places: Places, record: Record, due: float) -> None:
    """Let a task wait until it is due."""
    earliest = places.delayed.next()
    places.records.place(record, Status.DELAYED, due)
    if earliest is None or due < earliest:
        places.listener.ready(record.lane)
    places.listener.freed(record.lane)
    places.listener.changed(record)


def put_back(places: Places, record: Record, now: float, *, front: bool = False) -> None:
    """Make a task ready once more, after a delay, a recovery or a shutdown."""
    record.requeue_count += 1
    record.last_requeue_time = now
    enqueue(places, record, front=front)


def settle(
    places: Places, record: Record, status: Status, result_ttl: float, now: float, *, token: int = 0
) -> None:
    """Make a task final, and keep its state for `result_ttl` seconds.

    With 0 the state is removed at once. Only `token` is remembered, to answer a repeated outcome.
    """
    if result_ttl <= 0:
        places.ended_tokens.put(record.id, token, most=MAX_ENDED)
        remove(places, record)
        return
    record.progress = None
    record.envelope = structs.replace(record.envelope, body=b"", ctx=b"")  # no run needs them
    record.release_time = now
    places.records.place(record, status, now + result_ttl)
    places.listener.freed(record.lane)
    places.listener.changed(record)


def remove(places: Places, record: Record) -> None:
    """Forget a task, wherever it is."""
    places.records.remove(record)
    places.listener.freed(record.lane)
    places.listener.removed(record.id)
