"""Reading states, items, and tasks that wait, each in one statement."""

from collections.abc import Sequence
from typing import Any

from ltq.broker.flows import HELD, WaitingTask
from ltq.brokers.postgres._places.flows import read_count, slots_of
from ltq.brokers.postgres._places.rows import CODES, COLUMNS, STATUS_OF, read_row
from ltq.brokers.postgres._server.link import Link
from ltq.state import Items, Status, TaskState

_COLUMNS = ", ".join(COLUMNS)
STATES = f"""
SELECT {_COLUMNS} FROM ltq.tasks WHERE id = ANY(%s) AND namespace = %s
UNION ALL
SELECT {_COLUMNS} FROM ltq.final
WHERE id = ANY(%s) AND namespace = %s AND moment > extract(epoch FROM clock_timestamp())"""
"""Takes ids and the namespace, and both again."""


async def states(link: Link, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
    """The states of tasks, None for an unknown or expired id."""
    wanted = list(ids)
    rows = await link.query(STATES, wanted, namespace, wanted, namespace)
    return read_states(rows, ids)


def read_states(
    rows: Sequence[tuple[Any, ...]], ids: Sequence[str]
) -> list[TaskState[bytes] | None]:
    """The states in these rows, in the order of ids."""
    found = {row.record.id: row.record for row in map(read_row, reversed(rows))}  # live ones last
    return [found[task_id].state() if task_id in found else None for task_id in ids]


_TASK = "SELECT dequeue_count, items, items_of, moment, status FROM ltq"
_ITEMS = f"""
SELECT dequeue_count, total, number, item FROM (
    SELECT dequeue_count, CASE WHEN items_of = dequeue_count THEN items ELSE 0 END AS total FROM (
        {_TASK}.tasks WHERE id = %s AND namespace = %s
        UNION ALL
        {_TASK}.final WHERE id = %s AND namespace = %s
        AND moment > extract(epoch FROM clock_timestamp())
    ) AS rows ORDER BY status LIMIT 1
) AS task LEFT JOIN LATERAL (
    SELECT number, item FROM (
        SELECT number, item, sum(size) OVER (ORDER BY number) - size AS size_before FROM (
            SELECT number, item, octet_length(item) AS size FROM ltq.items
            WHERE id = %s AND namespace = %s AND total > 0
            AND number >= CASE WHEN dequeue_count = %s THEN %s ELSE 0 END
            ORDER BY number LIMIT %s
        ) AS found
    ) AS sized WHERE size_before < %s
) AS items ON true ORDER BY number"""
"""Takes the id and the namespace three times, then attempt, after and limit, and most bytes."""

_MOST_BYTES = 1 << 22


async def items(
    link: Link, namespace: str, task_id: str, attempt: int, after: int, limit: int
) -> Items | None:
    """See `Watcher.items`."""
    given = *(task_id, namespace) * 3, attempt, after, limit, _MOST_BYTES
    rows = await link.query(_ITEMS, *given)
    if not rows:
        return None
    count, total, first, _ = rows[0]
    if first is None:  # there are no more
        behind = after if attempt == count else 0
        return Items(attempt=count, first=max(behind, total), items=(), total=total)
    return Items(attempt=count, first=first, items=tuple(row[3] for row in rows), total=total)


_DELAYED, _CANCELLED = CODES[Status.DELAYED], CODES[Status.CANCELLED]
_HELD = f"""
SELECT status, body, ctx, token, serializer, count.value, filled.keys, filled.items FROM (
    SELECT status, body, ctx, token, serializer FROM ltq.tasks
    WHERE id = %s AND namespace = %s AND status + 0 = {_DELAYED} AND moment >= {HELD}
    UNION ALL
    SELECT status, body, ctx, token, serializer FROM ltq.final
    WHERE id = %s AND namespace = %s AND status + 0 = {_CANCELLED} AND keeps_body
    AND moment > extract(epoch FROM clock_timestamp())
    LIMIT 1
) AS task
LEFT JOIN LATERAL (
    SELECT value FROM ltq.kept WHERE namespace = %s AND kind = %s AND key = ''
) AS count ON true
CROSS JOIN LATERAL (
    SELECT array_agg(given.key) AS keys, array_agg(slot.value) AS items
    FROM unnest(%s::text[]) AS given (key) CROSS JOIN LATERAL (
        SELECT value FROM ltq.kept AS kept
        WHERE namespace = %s AND kind = %s AND kept.key = given.key LIMIT 1
    ) AS slot
) AS filled"""
"""Takes the id and the namespace twice, then these of the slots, their numbers, and these again."""


async def held(
    link: Link, namespace: str, task_id: str, slots: Sequence[int]
) -> WaitingTask | None:
    """See `Flows.held`: what `flows/waiting.py` of the rules reads in several statements."""
    own = task_id, namespace
    kind = slots_of(namespace, task_id)
    rows = await link.query(_HELD, *own, *own, *kind, [*map(str, slots)], *kind)
    if not rows:
        return None
    ((status, body, ctx, token, serializer, count, keys, items),) = rows
    values = dict(zip(map(int, keys or ()), items or (), strict=True))
    known = None if count is None else read_count(count)
    return WaitingTask(STATUS_OF[status], body, ctx, token, serializer, values, known)
