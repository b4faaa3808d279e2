"""Parts of what is in an order, each read by an index of the file: `Lines`."""

from ltq.brokers._rules.places import Lane, Spot, Spotted
from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.records import SqliteRecords
from ltq.options import Priority

_READY = "status = 0 AND lane = ? AND priority = ? AND position > ? ORDER BY position LIMIT ?"

_DELAYED = "status = 1 AND queue = ?"
_SAME = f"{_DELAYED} AND moment = ? AND tasks.number > ? ORDER BY tasks.number LIMIT ?"
_LATER = f"{_DELAYED} AND moment > ? ORDER BY moment, tasks.number LIMIT ?"

_FINAL = "status > 2 AND queue = ?"
_BEFORE = f"{_FINAL} AND position BETWEEN ? AND ? ORDER BY position DESC LIMIT ?"
_NTH = f"SELECT position FROM ltq_tasks WHERE {_FINAL} ORDER BY position DESC LIMIT 1 OFFSET ?"

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
"""The integers that SQLite has."""


class SqliteLines:
    """Parts of what is in an order: `Lines`."""

    def __init__(self, records: SqliteRecords, database: Database) -> None:
        self._records = records
        self._database = database

    def ready(self, lane: Lane, level: Priority, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        behind = _LOWEST if after is None else after.number
        rows = self._records.rows(_READY, lane.name, int(level), behind, limit)
        return [(Spot(0.0, row.position), row.record) for row in rows]

    def spot(self, record: Record) -> Spot:
        """See `Lines`."""
        return Spot(0.0, self._records.row(record).position)

    def delayed(self, queue: str, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        # Two conditions, as the index helps with neither part of an OR of them.
        rows = [] if after is None else self._records.rows(_SAME, queue, *after, limit)
        moment = float("-inf") if after is None else after.moment
        if len(rows) < limit:
            rows += self._records.rows(_LATER, queue, moment, limit - len(rows))
        return [(Spot(row.record.when, row.number), row.record) for row in rows]

    def final(self, queue: str, most: int, after: Spot | None, limit: int) -> list[Spotted]:
        """See `Lines`."""
        self._database.flush()
        oldest = self._database.run(_NTH, queue, most - 1).fetchone()
        first = _LOWEST if oldest is None else oldest[0]
        last = _HIGHEST if after is None else -after.number - 1
        rows = self._records.rows(_BEFORE, queue, first, last, limit)
        return [(Spot(0.0, -row.position), row.record) for row in rows]
