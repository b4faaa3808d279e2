"""The tasks of a queue, page by page, in the order that `Listing.tasks` says."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from ltq.broker import TaskQuery
from ltq.brokers._rules.constants import MOST_LOOKED
from ltq.brokers._rules.listing.lines import After, ListPosition, came, pending, spotted, working
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.options import MAX_FINAL
from ltq.state import Page, Status, TaskDetail

_KEPT_IDS = 3
"""How many ids a cursor holds: the last one may be gone when it is used."""

_MOST_NUMBER = 2**62
"""Beyond all numbers of spots. Who makes up a cursor, with a larger one, gets the first page."""

_AT_ONCE = 100
"""How many tasks are read together, at least."""


def page(places: Places, query: TaskQuery, now: float, *, lists_final: bool) -> Page[TaskDetail]:
    """One page, and the cursor of the next one."""
    start, after = _begin(query, now)
    found: list[Record] = []
    looked: list[ListPosition] = []
    for place, record in _walk(places, query, after, now, lists_final=lists_final):
        if len(found) == query.limit or len(looked) == MOST_LOOKED:
            return _page(places, query, found, query.cursor(start, *_last(looked)))
        looked.append(place)
        if came(record) <= start and _matches(query, record):
            found.append(record)
    return _page(places, query, found, None)


def _page(
    places: Places, query: TaskQuery, found: Iterable[Record], cursor: str | None
) -> Page[TaskDetail]:
    items = tuple(record.detail() for record in found)
    return Page(items=items, cursor=cursor, total=_total(places, query))


def _matches(query: TaskQuery, record: Record) -> bool:
    envelope = record.envelope
    return query.matches(record.status, envelope.task_name, envelope.tags)


def _last(looked: Sequence[ListPosition]) -> tuple[str | int | float, ...]:
    """The position that a cursor holds."""
    last = looked[-1]
    ids = [place.id for place in looked[-_KEPT_IDS:] if place[:2] == last[:2]]
    return *last[:-1], *ids


def _begin(query: TaskQuery, now: float) -> tuple[float, After | None]:
    """When the run of pages began, and the tasks that were looked at last."""
    match query.position:
        case (float(start), str(group), str(line), int(number), float(moment), *ids) if (
            -_MOST_NUMBER < number < _MOST_NUMBER
        ):
            return start, After(group, line, number, moment, tuple(map(str, ids)))
        case _:
            return now, None


def _total(places: Places, query: TaskQuery) -> int | None:
    if not query.has_total:
        return None
    return sum(places.queues.count(query.queue, status) for status in query.statuses)


def _walk(
    places: Places, query: TaskQuery, after: After | None, now: float, *, lists_final: bool
) -> Iterator[tuple[ListPosition, Record]]:
    """The tasks of the groups that are asked for, behind one of them."""
    queue, lines, at_once = query.queue, places.lines, max(_AT_ONCE, query.limit + 1)
    for group, _ in query.groups():
        own = after if after is not None and after.group == (group or "") else None
        if after is not None and own is None:
            continue
        after = None
        if group is Status.PENDING:
            yield from pending(places, queue, own, at_once)
        elif group is Status.DELAYED:
            yield from spotted(group, partial(lines.delayed, queue), own, at_once)
        elif group is Status.WORKING:
            running = (one for one in places.queues.working() if one.queue == queue)
            yield from working(running, own)
        elif lists_final:
            final = spotted("", partial(lines.final, queue, MAX_FINAL), own, at_once)
            yield from (each for each in final if not each[1].is_expired(now))
