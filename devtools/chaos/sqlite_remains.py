"""What a run may leave behind in a SQLite file: its tables have to agree with one another."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_COUNTED = """
    SELECT name, ready_high, ready_normal, ready_low, working FROM ltq_lanes
    WHERE ready_high != 0 OR ready_normal != 0 OR ready_low != 0 OR working != 0"""

_HELD = """
    SELECT
        lane, sum(status = 0 AND priority = 0), sum(status = 0 AND priority = 1),
        sum(status = 0 AND priority = 2), sum(status = 2)
    FROM ltq_tasks WHERE status IN (0, 2) GROUP BY lane"""

_RULES = {
    "is not final": "SELECT queue, status, count(*) FROM ltq_tasks WHERE status < 3 GROUP BY 1, 2",
    "has no such tasks, but counts them": """
        SELECT queue, status, many FROM ltq_counts WHERE many != 0
        EXCEPT SELECT queue, status, count(*) FROM ltq_tasks GROUP BY 1, 2""",
    "has such tasks, but does not count them": """
        SELECT queue, status, count(*) FROM ltq_tasks GROUP BY 1, 2
        EXCEPT SELECT queue, status, many FROM ltq_counts""",
    "is a lane that counts what it does not have": f"{_COUNTED} EXCEPT {_HELD}",
    "is a lane that does not count what it has": f"{_HELD} EXCEPT {_COUNTED}",
    "is a task without an envelope": """
        SELECT number FROM ltq_tasks EXCEPT SELECT number FROM ltq_envelopes""",
    "is an envelope without a task": """
        SELECT number FROM ltq_envelopes EXCEPT SELECT number FROM ltq_tasks""",
    "is a task without an id": """
        SELECT number FROM ltq_tasks EXCEPT SELECT number FROM ltq_ids""",
    "is an id without a task": """
        SELECT number FROM ltq_ids EXCEPT SELECT number FROM ltq_tasks""",
}
"""What a row of each query means."""


def left_in(path: Path) -> list[str]:
    """What the file should not hold when all is done, and what in it is damaged."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")  # so that all statements see the same
        return list(_found(connection))


def _found(connection: sqlite3.Connection) -> Iterator[str]:
    for (told,) in connection.execute("PRAGMA integrity_check"):
        if told != "ok":
            yield f"the file is damaged: {told}"
    for meaning, query in _RULES.items():
        for row in connection.execute(query):
            yield f"{row} {meaning}"
