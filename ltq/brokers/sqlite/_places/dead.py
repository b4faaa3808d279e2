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

_OLDEST = "SELECT number FROM ltq_dead WHERE queue = ? ORDER BY time, number LIMIT 10"
"""Those that may be forgotten when others are removed: who removes one does not read all."""


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

    def counts(self, queues: Collection[str], after: float) -> dict[str, int]:
        """See `DeadRecords`."""
        query = "SELECT queue, count(*) FROM ltq_dead WHERE time > ? AND queue IN"
        return dict(self._database.run_in(query, queues, after, last="GROUP BY queue"))

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """See `DeadRecords`."""
        this = "SELECT number FROM ltq_dead WHERE time > ? AND time <= ?"
        old = "DELETE FROM ltq_dead WHERE queue = ? AND time <= ?"
        if ids is None:
            found = self._database.run(f"{this} AND queue = ?", after, until, queue).fetchall()
            self._database.run(old, queue, after)
        else:  # the plus: not by the index of the queue, which may have many more
            mine = f"{this} AND +queue = ? AND namespace = ? AND id IN"
            found = self._database.run_in(mine, [*ids], after, until, queue, self._namespace)
            self._database.run(f"{old} AND number IN ({_OLDEST})", queue, after, queue)
        self._database.run_in("DELETE FROM ltq_dead WHERE number IN", [one for (one,) in found])
        return len(found)

    def _read(self, where: str, *values: Any) -> list[DeadRecord]:
        rows = self._database.run(f"SELECT record FROM ltq_dead WHERE {where}", *values)
        return [_decode(blob) for (blob,) in rows.fetchall()]
