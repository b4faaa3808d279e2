"""The items of streams: `Items`. What adds most of them is `sql/append.sql`."""

from collections.abc import Sequence

from ltq.brokers._rules.record import Record
from ltq.brokers.postgres._places.step import Step

_READ = """
SELECT number, item FROM ltq.items
WHERE id = %s AND namespace = %s AND number >= %s ORDER BY number LIMIT %s"""
_APPEND = "SELECT ltq.append(%s, %s, %s, %s::integer, %s::integer, %s::bytea[])"
_CLEAR = """
WITH gone AS (DELETE FROM ltq.streams WHERE id = %s AND namespace = %s)
DELETE FROM ltq.items WHERE id = %s AND namespace = %s"""


class PostgresItems:
    """The items of the tasks of one namespace."""

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace

    def append(self, record: Record, items: Sequence[bytes], most: int) -> None:
        """See `Items`."""
        given = record.token, record.items, most, [*items]
        self._step.rows(_APPEND, self._namespace, record.id, *given)

    def read(self, record: Record, after: int, limit: int) -> tuple[int, list[bytes]]:
        """See `Items`."""
        rows = self._step.rows(_READ, record.id, self._namespace, after, limit)
        return (rows[0][0] if rows else record.items), [item for _, item in rows]

    def clear(self, record: Record) -> None:
        """See `Items`."""
        self._step.write(_CLEAR, *(record.id, self._namespace) * 2)
