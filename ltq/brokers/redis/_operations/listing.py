"""Listing the tasks of a queue in Redis, group by group, in bounded steps."""

from collections.abc import Collection, Iterator
from itertools import dropwhile

from msgspec.structs import replace

from ltq.broker import TaskQuery
from ltq.brokers._rules.constants import MOST_LOOKED
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.keys import line_list
from ltq.brokers.redis._server.link import Link
from ltq.names import namespace_of
from ltq.state import Page, Status, TaskDetail

_CALL_LOOKS = 1000
"""Most tasks that one call looks at: a long script blocks all other clients."""

_CALL_TASKS = 250
"""Most tasks in one reply."""

_FINAL = "final"


async def read_page(link: Link, query: TaskQuery) -> Page[TaskDetail]:
    """See `Listing.tasks`."""
    start, first, after = _begin(query)
    items: list[TaskDetail] = []
    looked, total = 0, 0
    for group, wanted in _groups(query, first, lists_final=link.lists_final):
        is_begun = True
        while is_begun:
            room = query.limit - len(items)
            if room <= 0 or looked >= MOST_LOOKED:
                return _page(query, items, total, query.cursor(start, group, *after))
            call = _call(link, query, start, group, wanted, after)
            reply = await read_some(link, replace(call, limit=min(room, _CALL_TASKS)))
            start, total, after = reply.start, reply.total, reply.position
            items += reply.items
            looked += reply.looked
            is_begun = bool(after)
            if is_begun and reply.is_large:
                return _page(query, items, total, query.cursor(start, group, *after))
    return _page(query, items, total, None)


def _groups(
    query: TaskQuery, first: str, *, lists_final: bool
) -> Iterator[tuple[str, Collection[Status]]]:
    """The groups that are asked for, from one on, each with the statuses that match there."""
    groups = [(group or _FINAL, wanted) for group, wanted in query.groups()]
    for group, wanted in dropwhile(lambda one: first not in ("", one[0]), groups):
        if lists_final or group != _FINAL:
            yield group, wanted


def _call(
    link: Link,
    query: TaskQuery,
    start: str,
    group: str,
    wanted: Collection[Status],
    after: tuple[str | int, ...],
) -> calls.TasksCall:
    """The call that reads a group behind a position."""
    line, index, moment, *ids = after or ("", 0, "")
    return calls.TasksCall(
        prefix=link.keys.prefix(namespace_of(query.queue)),
        most_bytes=link.reply_limit.bytes,
        queue=query.queue,
        group=group,
        statuses=line_list(wanted),
        task_name=query.task_name or "",
        tag=query.tag or "",
        limit=_CALL_TASKS,
        most_looked=_CALL_LOOKS,
        start=start,
        counted=_counted(query),
        line=str(line),
        index=int(index),
        moment=str(moment),
        ids=[*map(str, ids)],
    )


def _begin(query: TaskQuery) -> tuple[str, str, tuple[str | int, ...]]:
    """When the run of pages began, the group that comes next, and the position there.

    For the first page all are empty.
    """
    match query.position:
        case (str(start), str(group)):
            return start, group, ()
        case (str(start), str(group), str(line), int(index), str(moment), *ids) if ids:
            return start, group, (line, index, moment, *map(str, ids))
        case _:
            return "", "", ()


def _counted(query: TaskQuery) -> str:
    """The groups that are counted, as the script takes them."""
    return line_list(query.statuses) if query.has_total else ""


def _page(
    query: TaskQuery, items: list[TaskDetail], total: int, cursor: str | None
) -> Page[TaskDetail]:
    return Page(items=tuple(items), cursor=cursor, total=total if query.has_total else None)
