"""Tasks in an order, of which any part is read by itself: `Lines`."""

from collections.abc import Sequence
from typing import Any

from ltq.brokers._rules.places import Lane, Spot, Spotted
from ltq.brokers._rules.record import Record
from ltq.brokers.postgres._places.records import PostgresRecords
from ltq.brokers.postgres._places.step import Step
from ltq.options import Priority

_READY = """
status = 0 AND lane = %s AND priority = %s::smallint AND position > %s
ORDER BY position LIMIT %s"""

_DELAYED = """
status = 1 AND queue = %s AND (moment, position) > (%s, %s) ORDER BY moment, position LIMIT %s"""

_FINAL = """
queue = %s AND (release_time, position) < (%s, %s) AND (release_time, position) > (%s, %s)
ORDER BY release_time DESC, position DESC LIMIT %s"""

_OLDER = """
SELECT release_time, position FROM ltq.final WHERE queue = %s
ORDER BY release_time DESC, position DESC OFFSET %s LIMIT 1"""

_FIRST = -(1 << 63)
_LAST = (1 << 63) - 1


class PostgresLines:
    """The lines of the tasks of one namespace: `Lines`."""

    def __init__(self, step: Step, records: PostgresRecords) -> None:
        self._step = step
        self._records = records

    def ready(
        self, lane: Lane, level: Priority, after: Spot | None, limit: int
    ) -> Sequence[Spotted]:
        """See `Lines`."""
        first = _FIRST if after is None else after.number
        found = self._read("tasks", _READY, lane.name, int(level), first, limit)
        return [(Spot(0.0, position), record) for position, record in found]

    def spot(self, record: Record) -> Spot:
        """See `Lines`."""
        return Spot(0.0, self._records.position(record))

    def delayed(self, queue: str, after: Spot | None, limit: int) -> Sequence[Spotted]:
        """See `Lines`."""
        first = Spot(float("-inf"), 0) if after is None else after
        found = self._read("tasks", _DELAYED, queue, *first, limit)
        return [(Spot(record.when, position), record) for position, record in found]

    def final(self, queue: str, most: int, after: Spot | None, limit: int) -> Sequence[Spotted]:
        """See `Lines`."""
        last = (float("inf"), _LAST) if after is None else (-after.moment, -after.number)
        older = self._step.rows(_OLDER, queue, most)
        first = older[0] if older else (float("-inf"), _FIRST)
        found = self._read("final", _FINAL, queue, *last, *first, limit)
        return [
            (Spot(-(record.release_time or 0.0), -position), record) for position, record in found
        ]

    def _read(self, table: str, where: str, *values: Any) -> list[tuple[int, Record]]:
        records = self._records.read(table, where, *values)
        return [(self._records.position(record), record) for record in records]
