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
_OLDEST = "SELECT number FROM ltq_dead WHERE queue = ? ORDER BY time, number LIMIT ?"

_MOST_FORGOTTEN = 10
"""Most that are forgotten when others are removed: who removes one does not read all."""


class SqliteDeadRecords:
    """The dead tasks; those that died at one time in the order of their numbers: `DeadRecords`."""

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace
        self._at_most: dict[str, tuple[int, int]] = {}
        """Of each queue: how many there are at most, not counting those of higher numbers than the
        second number. To count them takes as long as there are many."""
        self._changed: dict[str, tuple[int, int]] = {}
        """Of which of them the present transaction knows more."""
        self._counted: set[str] = set()
        """The queues of which that is just how many there are."""
        database.add(self)

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """See `DeadRecords`."""
        record = dead.record
        number = self._database.number("SELECT max(number) FROM ltq_dead") + 1
        former = "SELECT queue FROM ltq_dead WHERE id = ? AND namespace = ?"
        for (queue,) in self._database.run(former, record.id, self._namespace).fetchall():
            self._counted.discard(queue)
        insert = "INSERT OR REPLACE INTO ltq_dead VALUES (?, ?, ?, ?, ?, ?)"
        own = number, self._namespace, record.id, record.queue
        self._database.run(insert, *own, dead.time, _encode(dead))
        self._limit(record.queue, number, most)

    def _limit(self, queue: str, number: int, most: int) -> None:
        """Forget the oldest if there are too many, now that there is one of this number."""
        many, last = self._changed.get(queue) or self._at_most.get(queue, (0, number))
        is_known = last < number  # a backup has lower numbers, perhaps
        many += 1 if queue in self._counted else number - last
        if not is_known or many > most:
            if not is_known or queue not in self._counted:
                query = "SELECT count(*) FROM ltq_dead WHERE queue = ?"
                many = self._database.number(query, queue)
                self._counted.add(queue)
            if many > most:
                delete = f"DELETE FROM ltq_dead WHERE number IN ({_OLDEST})"
                self._database.run(delete, queue, many - most)
                many = most
        self._database.touch(self)
        self._changed[queue] = many, number

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
        self._counted.discard(queue)
        this = "SELECT number FROM ltq_dead WHERE time > ? AND time <= ?"
        old = "DELETE FROM ltq_dead WHERE queue = ? AND time <= ?"
        if ids is None:
            found = self._database.run(f"{this} AND queue = ?", after, until, queue).fetchall()
            self._database.run(old, queue, after)
        else:  # the plus: not by the index of the queue, which may have many more
            mine = f"{this} AND +queue = ? AND namespace = ? AND id IN"
            found = self._database.run_in(mine, [*ids], after, until, queue, self._namespace)
            oldest = queue, _MOST_FORGOTTEN
            self._database.run(f"{old} AND number IN ({_OLDEST})", queue, after, *oldest)
        self._database.run_in("DELETE FROM ltq_dead WHERE number IN", [one for (one,) in found])
        return len(found)

    def _read(self, where: str, *values: Any) -> list[DeadRecord]:
        rows = self._database.run(f"SELECT record FROM ltq_dead WHERE {where}", *values)
        return [_decode(blob) for (blob,) in rows.fetchall()]

    def flush(self) -> None:
        """See `Part`."""

    def committed(self) -> None:
        """See `Part`."""
        self._at_most |= self._changed
        self._changed.clear()

    def forget(self) -> None:
        """See `Part`. What others have added has higher numbers."""
        self._changed.clear()
        self._counted.clear()
