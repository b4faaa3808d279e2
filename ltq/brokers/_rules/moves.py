"""The moves of a record from one place to another. They also notify the listener."""

from collections.abc import Sequence
from itertools import takewhile

from msgspec import structs

from ltq.broker.flows import Ending, ending_key, has_outline, is_in_flow
from ltq.broker.flows.packed import pack_ending
from ltq.brokers._rules import history
from ltq.brokers._rules.constants import MAX_ENDED
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import Status


def enqueue(places: Places, record: Record, *, front: bool = False) -> None:
    """Make a task ready: behind the others of its lane and priority, or before them."""
    places.records.place(record, Status.PENDING, front=front)
    places.listener.ready(record.lane)
    places.listener.changed(record)


def change_lane(places: Places, record: Record, lane: str) -> None:
    """Move a ready task behind the others of another lane. Watchers see no change."""
    places.records.remove(record)
    record.envelope = structs.replace(record.envelope, lane=lane)
    places.records.place(record, Status.PENDING)
    places.listener.ready(lane)


def delay(places: Places, record: Record, due: float) -> None:
    """Let a task wait until it is due."""
    earliest = places.delayed.next()
    places.records.place(record, Status.DELAYED, due)
    if earliest is None or due < earliest:
        places.listener.ready(record.lane)
    places.listener.freed(record.lane)
    places.listener.changed(record)


def put_back(places: Places, record: Record, since: float, *, front: bool = False) -> None:
    """Make a task ready once more, after a retry, a recovery or a shutdown."""
    record.requeue_count += 1
    promote(places, record, since, front=front)


def promote(places: Places, record: Record, since: float, *, front: bool = False) -> None:
    """Make a task ready that was not. It waits since then: since it was due, or is requeued."""
    record.last_requeue_time = since
    enqueue(places, record, front=front)


def become_due(places: Places, record: Record, when: float) -> None:
    """Make a delayed task ready, as of a moment."""
    is_retry = record.dequeue_count > 0
    move = put_back if is_retry else promote
    move(places, record, when)


def keep_order(places: Places, returned: Sequence[Record]) -> None:
    """Sort what waits at the front of its lane: what was claimed first goes first.

    `returned` are tasks that were put there now. They may have come in any order, as may those that
    are there already, of the same shutdown for instance.
    """
    for name, level in {(record.lane, record.envelope.priority) for record in returned}:
        for lane in places.lanes.get([name]):
            front = sorted(_front(places, lane, level), key=lambda record: record.token)
            for record in reversed(front):
                places.records.place(record, Status.PENDING, front=True)


def _front(places: Places, lane: Lane, level: Priority) -> list[Record]:
    """The first tasks of a line, as long as they were requeued there."""
    count = 0
    found: list[Record] = []
    while len(found) == count:
        count = 4 * count or 100
        line = places.lanes.first(lane, level, count)
        found = [*takewhile(lambda record: record.is_in_front, line)]
    return found


def settle(
    places: Places, record: Record, status: Status, result_ttl: float, now: float, *, token: int = 0
) -> None:
    """Make a task final, count it, and keep its state for `result_ttl` seconds.

    With 0 the state is removed at once. Only `token` and `status` are remembered, to answer a
    repeated outcome.
    """
    history.settled(places, record.queue, status, now)
    may_go_on = note_ending(places, record, status, now)
    become_final(places, record, status, result_ttl, now, token=token, may_go_on=may_go_on)


def become_final(
    places: Places,
    record: Record,
    status: Status,
    result_ttl: float,
    now: float,
    *,
    token: int,
    may_go_on: bool = False,
) -> None:
    """As `settle`, for tasks that are counted together, and whose endings are noted already.

    One that `may_go_on` keeps its arguments.
    """
    record.keeps_body = may_go_on or record.envelope.keeps_body(status)
    if result_ttl <= 0:
        places.ended_tokens.put(record.id, (token, status), most=MAX_ENDED)
        remove(places, record)
        return
    record.progress = None
    if not record.keeps_body:
        ctx = record.envelope.ctx if has_outline(record.envelope.ctx) else b""
        record.envelope = structs.replace(record.envelope, body=b"", ctx=ctx)  # no run needs them
    record.release_time = now
    places.records.place(record, status, now + result_ttl)
    places.listener.freed(record.lane)
    places.listener.changed(record)


def forget_items(places: Places, record: Record) -> None:
    """Forget the items of a task's stream, if it has any."""
    if record.items_of:
        places.items.clear(record)
        record.items = record.items_of = 0


def remove(places: Places, record: Record) -> None:
    """Forget a task, wherever it is."""
    forget_items(places, record)
    places.records.remove(record)
    if record.envelope.ctx and is_in_flow(record.envelope.ctx):
        places.arrivals.remove(record.id)
    places.listener.freed(record.lane)
    places.listener.removed(record.id)


def note_ending(
    places: Places, record: Record, status: Status, now: float, follow: bytes = b""
) -> bool:
    """Keep the ending of a task that ends now, if it is part of a workflow or something follows it.

    Returns whether its arguments are kept for that: of a CANCELLED one, which may go on.
    """
    envelope = record.envelope
    is_part = is_in_flow(envelope.ctx)
    if not is_part and not follow:
        return False
    key = ending_key(record.id, record.token)
    ending = Ending(
        key=key,
        id=record.id,
        queue=record.queue,
        status=status,
        ctx=envelope.ctx,
        result=record.result or b"",
        serializer=envelope.serializer,
        body=envelope.body if record.waits_for_others else b"",
        follow=follow,
        time=now,
    )
    places.endings.put(key, pack_ending(ending))
    return is_part and status is Status.CANCELLED
