"""Reading states, in one statement."""

from collections.abc import Sequence
from typing import Any

from ltq.brokers.postgres._places.rows import COLUMNS, read_row
from ltq.brokers.postgres._server.link import Link
from ltq.state import TaskState

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
