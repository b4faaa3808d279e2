"""Lines of tasks in an order, and the places in them."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

from ltq.brokers._rules.constants import MOST_LOOKED
from ltq.brokers._rules.places import Lane, Places
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import Status

_NEVER = 1e300
"""A moment after all others, which a cursor can hold, as it cannot hold infinity."""


class Place(NamedTuple):
    """Where a task is in the list."""

    group: str
    """The status of its group; empty for the final ones."""
    line: str
    """Of a PENDING one: its priority and lane."""
    place: int
    """Of a PENDING one: its position in that line."""
    moment: float
    """What its group is in the order of. It grows within a group."""
    id: str


class After(NamedTuple):
    """Where the tasks that were looked at last are: what a cursor holds."""

    group: str
    line: str
    place: int
    moment: float
    ids: tuple[str, ...]
    """The last ones of the line, the latest one last."""


def came(record: Record) -> float:
    """When a task came to where it is, by all that is known."""
    if record.status is Status.WORKING:
        return record.last_dequeue_time or 0.0
    if record.status.is_final:
        return record.release_time or 0.0
    is_pending = record.status is Status.PENDING
    back = record.last_requeue_time if is_pending else record.last_dequeue_time
    return max(record.enqueue_time, back or 0.0)


def timed(
    group: str, records: Iterable[tuple[float, Record]], after: After | None
) -> Iterator[tuple[Place, Record]]:
    """Records in the order of a time each."""
    lowest = (float("-inf"), "") if after is None else (after.moment, after.ids[-1])
    timed = ((min(moment, _NEVER), one.id, one) for moment, one in records)
    rest = (each for each in timed if each[:2] > lowest)
    for moment, task_id, record in nsmallest(MOST_LOOKED, rest):
        yield Place(group, "", 0, moment, task_id), record


def pending(places: Places, queue: str, after: After | None) -> Iterator[tuple[Place, Record]]:
    """Ready records, line by line."""
    lanes = sorted(places.lanes.of(queue), key=lambda lane: (lane.name != queue, lane.name))
    first = ("", "") if after is None else _line_order(after.line, queue)
    for level in Priority:
        for lane in lanes:
            line = f"{level:d}:{lane.name}"
            if not lane.ready[level] or _line_order(line, queue) < first:
                continue
            own = after if after is not None and after.line == line else None
            yield from _line(places, lane, level, own)


def _line_order(line: str, queue: str) -> tuple[str, str]:
    priority, _, lane = line.partition(":")
    return priority, "" if lane == queue else lane


def _line(
    places: Places, lane: Lane, level: Priority, after: After | None
) -> Iterator[tuple[Place, Record]]:
    seen = 0 if after is None else after.place
    records = places.lanes.first(lane, level, seen + MOST_LOOKED + 1)
    begin = 0 if after is None else _resume(records, after)
    for index, record in islice(enumerate(records), begin, None):
        place = Place(Status.PENDING, f"{level:d}:{lane.name}", index, _since(record), record.id)
        yield place, record


def _resume(records: Sequence[Record], after: After) -> int:
    """The position behind the last of the records that were looked at.

    If all of these are gone, it is behind what has waited longer, and not before where the last one
    was if that is possible. If nothing has waited longer, all before it was claimed.
    """
    for index in range(len(records) - 1, -1, -1):
        if records[index].id in after.ids and _since(records[index]) <= after.moment:
            return index + 1
    before = sum(_since(record) < after.moment for record in records)
    until = sum(_since(record) <= after.moment for record in records)
    return max(before, min(after.place, until)) if before else 0


def _since(record: Record) -> float:
    """Since when a ready record waits; those at the front of their line have waited longest."""
    return 0.0 if record.is_in_front else came(record)
