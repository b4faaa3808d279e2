"""Cancelling all tasks of a queue that a selection means, some in each step."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest

from ltq.broker.selection import Selection
from ltq.brokers._rules.cancel import cancel
from ltq.brokers._rules.listing.lines import ReadPart
from ltq.brokers._rules.places import Places, Spot, Spotted
from ltq.brokers._rules.record import Record
from ltq.options import DEFAULT_RESULT_TTL, Priority
from ltq.state import Status

_Order = tuple[int, str, int]
"""What lines are in the order of."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a call has come."""

    start: float
    """When it began: what was sent later is not meant."""
    line: _Order
    spot: Spot | None
    left: int
    """How many tasks of the line it may look at still: as many as there were when it came there,
    in all. Otherwise it might never end while others send."""


@dataclass(frozen=True, slots=True)
class _Line:
    order: _Order
    count: int
    read: ReadPart


def cancel_some(
    places: Places, queue: str, selection: Selection, reached: Reached | None, most: int, now: float
) -> tuple[int, Reached | None]:
    """Look at the next `most` tasks, or at those that are left, and cancel what is meant.

    Returns how many were cancelled, and how far the call has come; None at its end.
    """
    start, cancelled = now if reached is None else reached.start, 0
    for line in _lines(places, queue, selection):
        if reached is not None and line.order < reached.line:
            continue
        if reached is None or line.order > reached.line:
            reached = Reached(start, line.order, None, line.count)
        found = line.read(reached.spot, min(most, reached.left))
        meant = [one for _, one in found if _is_meant(one, queue, selection, start)]
        for record in meant:
            cancel(places, record.id, DEFAULT_RESULT_TTL, now)
        cancelled += len(meant)
        most -= len(found)
        if most == 0:
            left = reached.left - len(found)
            return cancelled, Reached(start, line.order, found[-1][0], left)
    return cancelled, None


def _lines(places: Places, queue: str, selection: Selection) -> Iterator[_Line]:
    """The lines in which they may be.

    Meanwhile delayed ones may become pending, and claims may move some from the queue's own lane to
    others: so in this order.
    """
    lines = places.lines
    if Status.DELAYED in selection.statuses:
        count = places.queues.count(queue, Status.DELAYED)
        yield _Line((0, "", 0), count, partial(lines.delayed, queue))
    if Status.WORKING in selection.statuses:
        count = places.queues.count(queue, Status.WORKING)
        yield _Line((1, "", 0), count, partial(_working, places, queue))
    if Status.PENDING in selection.statuses:
        lanes = {"" if lane.name == queue else lane.name: lane for lane in places.lanes.of(queue)}
        for name, lane in sorted(lanes.items()):
            for level in Priority:
                read = partial(lines.ready, lane, level)
                yield _Line((2, name, int(level)), lane.ready[level], read)


def _working(places: Places, queue: str, after: Spot | None, limit: int) -> list[Spotted]:
    """Running tasks in the order of their claims: these are never many."""
    first = -1 if after is None else after.number
    running = ((one.token, one) for one in places.queues.working() if one.queue == queue)
    rest = (each for each in running if each[0] > first)
    return [(Spot(0.0, token), one) for token, one in nsmallest(limit, rest)]


def _is_meant(record: Record, queue: str, selection: Selection, start: float) -> bool:
    envelope, age = record.envelope, start - record.enqueue_time
    is_meant = selection.means(record.status, envelope.task_name, envelope.tags, age)
    return is_meant and record.queue == queue
