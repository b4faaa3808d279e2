"""The dead tasks of one namespace: `DeadRecords`."""

from collections.abc import Collection
from math import inf
from typing import Any

import msgspec

from ltq.brokers._rules.record import DeadRecord
from ltq.brokers.sqlite._file.database import Database

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadRecord).decode

_NEWEST = "ORDER BY time DESC, number DESC"
_OLD = f"SELECT number FROM ltq_dead WHERE queue = ? {_NEWEST} LIMIT -1 OFFSET ?"


class SqliteDeadRecords:
    """The dead tasks; those that died at one time in the order of their numbers: `DeadRecords`."""

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """See `DeadRecords`."""
        record = dead.record
        number = self._database.number("SELECT max(number) FROM ltq_dead") + 1
        insert = "INSERT OR REPLACE INTO ltq_dead VALUES (?, ?, ?, ?, ?, ?)"
        own = number, self._namespace, record.id, record.queue
        self._database.run(insert, *own, dead.time, _encode(dead))
        self._database.run(f"DELETE FROM ltq_dead WHERE number IN ({_OLD})", record.queue, most)

    def get(self, task_id: str, after: float) -> DeadRecord | None:
        """See `DeadRecords`."""
        where = "id = ? AND namespace = ? AND time > ?"
        return next(iter(self._read(where, task_id, self._namespace, after)), None)

    def newest(self, queue: str, after: float, limit: int, offset: int) -> list[DeadRecord]:
        """See `DeadRecords`."""
        where = f"queue = ? AND time > ? {_NEWEST} LIMIT ? OFFSET ?"
        return self._read(where, queue, after, limit, offset)

    def count(self, queue: str, after: float) -> int:
        """See `DeadRecords`."""
        query = "SELECT count(*) FROM ltq_dead WHERE queue = ? AND time > ?"
        return self._database.number(query, queue, after)

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """See `DeadRecords`."""
        query = "SELECT id, number FROM ltq_dead WHERE queue = ? AND time > ? AND time <= ?"
        rows = self._database.run(query, queue, after, until).fetchall()
        numbers = [number for task_id, number in rows if ids is None or task_id in ids]
        self._database.run_in("DELETE FROM ltq_dead WHERE number IN", numbers)
        self._database.run("DELETE FROM ltq_dead WHERE queue = ? AND time <= ?", queue, after)
        return len(numbers)

    def _read(self, where: str, *values: Any) -> list[DeadRecord]:
        rows = self._database.run(f"SELECT record FROM ltq_dead WHERE {where}", *values)
        return [_decode(blob) for (blob,) in rows.fetchall()]
