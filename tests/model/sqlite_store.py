"""The SQLite broker on a real file: what its tables should hold."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._places.rows import STATUS_OF, hash_of, read_row
from ltq.options import Priority
from ltq.state import Status
from tests.model.reference import Model
from tests.model.stores import ClockedStore, Place

TABLES = ("envelopes", "ids", "lanes", "queues", "counts", "dead", "ended", "kept")

LINES = """
SELECT number, lane, priority, status, moment, state FROM ltq_tasks
ORDER BY lane, priority, status, CASE status WHEN 0 THEN position ELSE number END"""
"""The tasks in their order: their positions may be others, as in memory."""


class SqliteStore(ClockedStore):
    """A SQLite broker, and a connection that looks at its file from outside."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / f"{self.namespace}.db"
        url = f"sqlite:///{self.path}?sync=normal"
        self.broker: SqliteBroker = SqliteBroker(url, clock=self._clock)

    def age(self, queue: str, seconds: float) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            query = "SELECT number, record FROM ltq_dead WHERE queue = ?"
            for number, blob in connection.execute(query, [queue]).fetchall():
                dead = msgspec.msgpack.decode(blob, type=DeadRecord)
                older = DeadRecord(dead.record, dead.status, dead.time - seconds)
                values = (older.time, msgspec.msgpack.encode(older), number)
                connection.execute(
                    "UPDATE ltq_dead SET time = ?, record = ? WHERE number = ?", values
                )

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, values).fetchall()

    def _forget_expired(self) -> None:
        self.loop.run_until_complete(self.broker.clear(f"{self.namespace}:unused"))

    def dump(self) -> object:
        self._forget_expired()
        tables = [self._rows(f"SELECT * FROM ltq_{table} ORDER BY 1, 2") for table in TABLES]
        return self._rows(LINES), tables

    def places(self) -> Iterable[Place]:
        self._forget_expired()
        yield from ((record.id, record.status) for record in self._records())

    def _records(self, where: str = "", *values: Any) -> list[Record]:
        query = """
            SELECT number, status, moment, position, state, envelope
            FROM ltq_tasks JOIN ltq_envelopes USING (number)"""
        rows = self._rows(f"{query} {where}", *values)
        return [read_row(*columns).record for columns in rows]

    def check(self, model: Model) -> None:
        self._forget_expired()
        for queue in self.queues:
            self._check_lane(model, queue)
            self._check_counts(model, queue)
        for record in self._records():
            task = model.tasks[record.id]
            counts = (record.token, record.returned, record.tries, record.deaths)
            assert counts == (task.token, task.returned, task.tries, task.deaths), record.id
            assert self._rows(
                "SELECT count(*) FROM ltq_ids WHERE hash = ?", hash_of(record.id)
            ) == [(1,)]
        for table in ("tasks", "ids", "envelopes"):
            assert self._rows(f"SELECT count(*) FROM ltq_{table}") == [(len(model.tasks),)]

    def _check_lane(self, model: Model, queue: str) -> None:
        query = """
            SELECT ready_high, ready_normal, ready_low, working FROM ltq_lanes WHERE name = ?"""
        counts: Sequence[Any] = next(iter(self._rows(query, queue)), (0, 0, 0, 0))
        for level in Priority:
            line = "WHERE status = 0 AND lane = ? AND priority = ? ORDER BY position"
            ids = [record.id for record in self._records(line, queue, level)]
            assert ids == model.lines[queue, level]
            assert len(ids) == counts[level]
        assert counts[3] == len(model.of(Status.WORKING, queue))

    def _check_counts(self, model: Model, queue: str) -> None:
        counts = dict(self._rows("SELECT status, many FROM ltq_counts WHERE queue = ?", queue))
        for code, status in STATUS_OF.items():
            assert counts.get(code, 0) == len(model.of(status, queue)), status
