"""The tasks of one namespace: `Records` and `Timeline`. Changes are written together."""

from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Any

from ltq.brokers._rules.record import Record
from ltq.brokers.postgres._places.lanes import PostgresLanes
from ltq.brokers.postgres._places.rows import COLUMNS, Row, columns_of, read_row
from ltq.brokers.postgres._places.step import Step, columns
from ltq.state import Status

_COLUMNS = ", ".join(COLUMNS)

FRONT = 1 << 62
"""Tasks at the front have positions below 0, in the order of their claims: token - FRONT."""

TOKENS = 1000
"""How many tasks get their tokens from one number of the sequence, which grows by more."""

_TYPES = {
    **dict.fromkeys(("priority", "status"), "smallint"),
    **dict.fromkeys(("position", "token", "returned"), "bigint"),
    **dict.fromkeys(("tries", "deaths", "dequeue_count", "requeue_count"), "integer"),
    **dict.fromkeys(("max_tries", "max_deliveries", "max_items", "items", "items_of"), "integer"),
    **dict.fromkeys(("front", "keep_body", "keeps_body"), "boolean"),
    **dict.fromkeys(("progress", "failure", "ctx", "body", "result"), "bytea"),
    **dict.fromkeys(("moment", "enqueue_time", "last_dequeue_time", "last_requeue_time"), "float8"),
    **dict.fromkeys(("release_time", "timeout", "result_ttl"), "float8"),
}
_GIVEN = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in COLUMNS)
_ROWS = f"unnest({_GIVEN}) AS given ({_COLUMNS})"

_INSERT_LIVE = f"INSERT INTO ltq.tasks ({_COLUMNS}) SELECT {_COLUMNS} FROM {_ROWS}"
_INSERT_FINAL = f"""
INSERT INTO ltq.final ({_COLUMNS}, slot)
SELECT {_COLUMNS}, ltq.slot_of(moment, extract(epoch FROM clock_timestamp())::float8)
FROM {_ROWS}"""

_LIVE, _FINAL = "tasks", "final"

_HOLDS = "moment > extract(epoch FROM clock_timestamp())"
"""Of a final state: others have expired, and wait for their removal."""


class PostgresRecords:
    """The tasks by id, live or final: `Records`."""

    def __init__(self, step: Step, namespace: str, lanes: PostgresLanes) -> None:
        self._step = step
        self._namespace = namespace
        self._lanes = lanes
        self._known: dict[str, Row | None] = {}
        self._changed: dict[str, Row] = {}
        self._gone: dict[str, set[str]] = {_LIVE: set(), _FINAL: set()}
        self._next_token = self._last_token = 0
        self.delayed = PostgresTimeline(self, step, namespace, 1)
        self.leased = PostgresTimeline(self, step, namespace, 2)

    def load(self, ids: Iterable[str]) -> None:
        """See `Records`."""
        wanted = [task_id for task_id in dict.fromkeys(ids) if task_id not in self._known]
        if not wanted:
            return
        where = "id = ANY(%s) AND namespace = %s"
        self._read(_FINAL, f"{where} AND {_HOLDS}", wanted, self._namespace)
        self._read(_LIVE, where, wanted, self._namespace)
        for task_id in wanted:
            self._known.setdefault(task_id, None)

    def get(self, task_id: str) -> Record | None:
        """See `Records`."""
        self.load([task_id])
        row = self._known[task_id]
        return None if row is None else row.record

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        """See `Records`."""
        row, before = self._known.get(record.id), record.status
        if row is None:
            row = self._known[record.id] = Row(record, 0, None)
            self._lanes.move(record, None, status)
        else:
            self._lanes.move(record, before, status)
        record.status, record.when = status, when
        row.position = 0
        if status is Status.PENDING and front:
            row.position = record.token - FRONT
        self._changed.pop(record.id, None)  # so that it goes behind the others
        self._change(row)

    def save(self, record: Record) -> None:
        """See `Records`."""
        row = self._known[record.id]
        assert row is not None
        self._change(row)

    def remove(self, record: Record) -> None:
        """See `Records`."""
        row = self._known[record.id]
        assert row is not None
        self._lanes.move(record, record.status, None)
        self._changed.pop(record.id, None)
        if row.table is not None:
            self._gone[row.table].add(record.id)
            self._step.touch(self)
        self._known[record.id] = None
        self._lanes.leave(record.lane)

    def position(self, record: Record) -> int:
        """The place of a record in its line."""
        row = self._known[record.id]
        assert row is not None
        if not row.position:
            self._step.flush()
        return row.position

    def next_token(self, above: int, now: float) -> int:
        """See `Records`. The sequence is not lost, and all claims take their tokens from it."""
        if self._next_token == self._last_token:
            ((first,),) = self._step.write("SELECT nextval('ltq.tokens')")
            self._next_token, self._last_token = first, first + TOKENS
        self._next_token += 1
        return max(above + 1, self._next_token - 1)

    def read(self, table: str, where: str, *values: Any) -> list[Record]:
        """The records of a condition, with what this step has changed."""
        self._step.flush()
        return self._read(table, where, *values)

    def _read(self, table: str, where: str, *values: Any) -> list[Record]:
        found = self._step.write(f"SELECT {_COLUMNS} FROM ltq.{table} WHERE {where}", *values)
        records = []
        for row in map(read_row, found):
            known = self._known.get(row.record.id)
            if known is None or known.table == _FINAL != row.table:  # a final one may be expired
                known = self._known[row.record.id] = row
            records.append(known.record)
        return records

    def _change(self, row: Row) -> None:
        self._changed[row.record.id] = row
        self._step.touch(self)

    def flush(self) -> None:
        """See `Part`."""
        changed, self._changed = [*self._changed.values()], {}
        for row in changed:
            if row.table is not None:
                self._gone[row.table].add(row.record.id)
        for table, ids in self._gone.items():
            self._delete(table, ids)
            ids.clear()
        self._number(changed)
        live = [row for row in changed if not row.record.status.is_final]
        for table, insert, rows in (
            (_LIVE, _INSERT_LIVE, live),
            (_FINAL, _INSERT_FINAL, [row for row in changed if row.record.status.is_final]),
        ):
            if rows:
                values = [columns_of(row, self._namespace) for row in rows]
                self._step.write(insert, *columns(values))
            for row in rows:
                row.table = table

    def _delete(self, table: str, ids: Collection[str]) -> None:
        if ids:
            where = "id = ANY(%s) AND namespace = %s"
            self._step.write(f"DELETE FROM ltq.{table} WHERE {where}", list(ids), self._namespace)

    def _number(self, rows: Sequence[Row]) -> None:
        """Give those a place that wait behind others."""
        behind = [one for one in rows if not one.position]
        if behind:
            # The transaction has a number before it takes any: see `sql/_raise_floor.sql`.
            numbers = """
                SELECT pg_current_xact_id()::text, nextval('ltq.positions')
                FROM generate_series(1, %s)"""
            for row, (_, number) in zip(
                behind, self._step.write(numbers, len(behind)), strict=True
            ):
                row.position = number


class PostgresTimeline:
    """The live tasks of one status in the order of their moments: `Timeline`."""

    def __init__(self, records: PostgresRecords, step: Step, namespace: str, code: int) -> None:
        self._records = records
        self._step = step
        self._namespace = namespace
        self._where = f"status = {code} AND namespace = %s"

    def next(self) -> float | None:
        """See `Timeline`."""
        query = f"SELECT min(moment) FROM ltq.tasks WHERE {self._where}"
        ((moment,),) = self._step.rows(query, self._namespace)
        return None if moment is None else float(moment)

    def due(self, now: float, limit: int) -> list[Record]:
        """See `Timeline`. What somebody holds is left out."""
        order = "ORDER BY moment, token LIMIT %s FOR UPDATE SKIP LOCKED"
        where = f"{self._where} AND moment <= %s {order}"
        return self._records.read(_LIVE, where, self._namespace, now, limit)


class Forgotten:
    """What has expired goes by itself: `Timeline`."""

    def next(self) -> float | None:
        """See `Timeline`."""
        return None

    def due(self, now: float, limit: int) -> list[Record]:
        """See `Timeline`."""
        return []
