"""Lines of tasks in an order, and the places in them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import nsmallest
from typing import NamedTuple

from ltq.brokers._rules.constants import MOST_LOOKED
from ltq.brokers._rules.places import Lane, Places, Spot, Spotted
from ltq.brokers._rules.record import Record
from ltq.options import Priority
from ltq.state import Status

_NEVER = 1e300
"""A moment after all others, which a cursor can hold, as it cannot hold infinity."""


class ListPosition(NamedTuple):
    """Where a task is in the list."""

    group: str
    """The status of its group; empty for the final ones."""
    line: str
    """Of a PENDING one: its priority and lane."""
    number: int
    """The number of its spot, if it has one."""
    moment: float
    """Of a PENDING one, since when it waits; of a WORKING one, when its lease ends; otherwise the
    moment of its spot."""
    id: str


class After(NamedTuple):
    """Where the tasks that were looked at last are: what a cursor holds."""

    group: str
    line: str
    number: int
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


ReadPart = Callable[[Spot | None, int], Sequence[Spotted]]
"""What reads up to so many tasks of a line behind a spot."""


def parts(read: ReadPart, spot: Spot | None, at_once: int) -> Iterator[Spotted]:
    """All tasks of a line behind a spot, read as far as they are asked for."""
    is_end = False
    while not is_end:
        found = read(spot, at_once)
        yield from found
        is_end = len(found) < at_once
        spot = found[-1][0] if found else None


def spotted(
    group: str, read: ReadPart, after: After | None, at_once: int
) -> Iterator[tuple[ListPosition, Record]]:
    """Records of a group that is one line."""
    begin = None if after is None else Spot(after.moment, after.number)
    for spot, record in parts(read, begin, at_once):
        yield ListPosition(group, "", spot.number, min(spot.moment, _NEVER), record.id), record


def working(
    records: Iterable[Record], after: After | None
) -> Iterator[tuple[ListPosition, Record]]:
    """WORKING records in the order in which their leases end: these are never many."""
    lowest = (float("-inf"), "") if after is None else (after.moment, after.ids[-1])
    timed = ((min(one.when, _NEVER), one.id, one) for one in records)
    rest = (each for each in timed if each[:2] > lowest)
    for moment, task_id, record in nsmallest(MOST_LOOKED, rest):
        yield ListPosition(Status.WORKING, "", 0, moment, task_id), record


def pending(
    places: Places, queue: str, after: After | None, at_once: int
) -> Iterator[tuple[ListPosition, Record]]:
    """Ready records, line by line."""
    lanes = sorted(places.lanes.of(queue), key=lambda lane: (lane.name != queue, lane.name))
    first = ("", "") if after is None else _line_order(after.line, queue)
    for level in Priority:
        for lane in lanes:
            line = f"{level:d}:{lane.name}"
            if not lane.ready[level] or _line_order(line, queue) < first:
                continue
            own = after if after is not None and after.line == line else None
            begin = None if own is None else _resume(places, lane, level, own)
            for spot, record in parts(partial(places.lines.ready, lane, level), begin, at_once):
                yield (
                    ListPosition(Status.PENDING, line, spot.number, _since(record), record.id),
                    record,
                )


def _line_order(line: str, queue: str) -> tuple[str, str]:
    priority, _, lane = line.partition(":")
    return priority, "" if lane == queue else lane


def _resume(places: Places, lane: Lane, level: Priority, after: After) -> Spot | None:
    """The spot of the last of the tasks that were looked at.

    If all of these are gone, it is where the last one was. But the tasks at the front are sorted
    again when others come back there: if it was one of them, it is the beginning of the line, as
    all before it was claimed.
    """
    places.records.load(after.ids)
    for task_id in reversed(after.ids):
        record = places.records.get(task_id)
        if record is not None and _is_in(record, lane, level) and _since(record) <= after.moment:
            return places.lines.spot(record)
    return None if after.moment == 0.0 else Spot(0.0, after.number)


def _is_in(record: Record, lane: Lane, level: Priority) -> bool:
    is_of_line = record.lane == lane.name and record.envelope.priority == level
    return is_of_line and record.status is Status.PENDING


def _since(record: Record) -> float:
    """Since when a ready record waits; those at the front of their line have waited longest."""
    return 0.0 if record.is_in_front else came(record)
