"""The dead tasks of one namespace: `DeadRecords`. Changes are written together."""

from collections.abc import Collection, Iterable
from math import inf
from typing import Any

import msgspec

from ltq.brokers._rules.record import DeadRecord
from ltq.brokers.postgres._places.step import Step, columns

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadRecord).decode

_INSERT = """
INSERT INTO ltq.dead (namespace, id, queue, time, record)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::bytea[])"""
_DELETE = "DELETE FROM ltq.dead WHERE id = ANY(%s) AND namespace = %s"
_TRIM = """
DELETE FROM ltq.dead WHERE number IN (
    SELECT number FROM ltq.dead WHERE queue = %s ORDER BY time DESC, number DESC OFFSET %s)"""
_REMOVE = """
WITH gone AS (
    DELETE FROM ltq.dead
    WHERE queue = %s AND time > %s AND time <= %s AND (%s::text[] IS NULL OR id = ANY(%s))
    RETURNING id)
SELECT count(*) FROM gone"""


class PostgresDeadRecords:
    """The dead tasks, by when they died: `DeadRecords`."""

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace
        self._known: dict[str, DeadRecord | None] = {}
        self._put: dict[str, DeadRecord] = {}
        self._removed: set[str] = set()
        self._most: int | None = None

    def load(self, ids: Iterable[str]) -> None:
        """`get` will be called with these ids."""
        wanted = [task_id for task_id in dict.fromkeys(ids) if task_id not in self._known]
        if wanted:
            self._known.update(dict.fromkeys(wanted))
            for dead in self._read("id = ANY(%s) AND namespace = %s", wanted, self._namespace):
                self._known[dead.record.id] = dead

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """See `DeadRecords`."""
        self._known[dead.record.id] = dead
        self._put.pop(dead.record.id, None)
        self._put[dead.record.id] = dead
        self._most = most
        self._step.touch(self)

    def get(self, task_id: str, after: float) -> DeadRecord | None:
        """See `DeadRecords`."""
        self.load([task_id])
        dead = self._known[task_id]
        return dead if dead is not None and dead.time > after else None

    def newest(self, queue: str, after: float, limit: int, offset: int) -> list[DeadRecord]:
        """See `DeadRecords`."""
        where = "queue = %s AND time > %s ORDER BY time DESC, number DESC LIMIT %s OFFSET %s"
        return self._read(where, queue, after, limit, offset)

    def counts(self, queues: Collection[str], after: float) -> dict[str, int]:
        """See `DeadRecords`."""
        query = "SELECT queue, count(*) FROM ltq.dead WHERE queue = ANY(%s) AND time > %s"
        return dict(self._step.rows(f"{query} GROUP BY queue", list(queues), after))

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """See `DeadRecords`."""
        if ids is not None and all(task_id in self._known for task_id in ids):
            return self._remove_known(queue, ids, after, until)
        self._known.clear()
        named = None if ids is None else list(ids)
        removed = self._step.number(_REMOVE, queue, after, until, named, named)
        self._step.write("DELETE FROM ltq.dead WHERE queue = %s AND time <= %s", queue, after)
        return removed

    def _remove_known(self, queue: str, ids: Collection[str], after: float, until: float) -> int:
        """Remove tasks that were read before, later together with others."""
        found = (self._known[task_id] for task_id in ids)
        meant = [
            dead.record.id
            for dead in found
            if dead is not None and dead.record.queue == queue and after < dead.time <= until
        ]
        for task_id in meant:
            self._known[task_id] = None
            self._put.pop(task_id, None)
        self._removed.update(meant)
        self._step.touch(self)
        return len(meant)

    def _read(self, where: str, *values: Any) -> list[DeadRecord]:
        rows = self._step.rows(f"SELECT record FROM ltq.dead WHERE {where}", *values)
        return [_decode(record) for (record,) in rows]

    def flush(self) -> None:
        """See `Part`."""
        put, self._put = [*self._put.values()], {}
        removed, self._removed = {*self._removed, *(one.record.id for one in put)}, set()
        if removed:
            self._step.write(_DELETE, list(removed), self._namespace)
        if put:
            rows = [
                (self._namespace, one.record.id, one.record.queue, one.time, _encode(one))
                for one in put
            ]
            self._step.write(_INSERT, *columns(rows))
        for queue in dict.fromkeys(one.record.queue for one in put):
            self._step.write(_TRIM, queue, self._most)
