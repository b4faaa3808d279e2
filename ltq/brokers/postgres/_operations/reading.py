"""Reading states, in one statement."""

from collections.abc import Sequence
from typing import Any

from ltq.brokers.postgres._places.rows import COLUMNS, read_row
from ltq.brokers.postgres._server.link import Link
from ltq.state import Items, TaskState

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
