"""The tasks of one namespace: `Records` and `Timeline`. Changes are written together."""

from collections.abc import Collection, Iterable, Sequence
from math import inf
from typing import Any

from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database, pieces
from ltq.brokers.sqlite._places.lanes import SqliteLanes
from ltq.brokers.sqlite._places.queues import SqliteQueues
from ltq.brokers.sqlite._places.rows import CODES, Row, envelope_of, hash_of, read_row, state_of
from ltq.state import Status

_SELECT = """
SELECT tasks.number, status, moment, position, state, envelope
FROM ltq_tasks AS tasks
CROSS JOIN ltq_envelopes AS envelopes ON envelopes.number = tasks.number WHERE
"""
_SELECT_IDS = """
SELECT tasks.number, status, moment, position, state, envelope
FROM ltq_ids AS ids CROSS JOIN ltq_tasks AS tasks ON tasks.number = ids.number
CROSS JOIN ltq_envelopes AS envelopes ON envelopes.number = ids.number
WHERE tasks.namespace = ? AND ids.hash IN
"""
_KEEP = """
ON CONFLICT (number) DO UPDATE SET
    status = excluded.status, moment = excluded.moment, position = excluded.position,
    state = excluded.state"""
_KEEP_ENVELOPE = "ON CONFLICT (number) DO UPDATE SET envelope = excluded.envelope"

_DELETED_TOGETHER = (100, 10, 1)

MOST_KNOWN = 20_000
"""Most working tasks that a process remembers to spare reading them when they end."""


class SqliteRecords:
    """The tasks by id: `Records`.

    Between transactions it remembers those that are WORKING: this process will most likely end
    them.
    """

    def __init__(
        self, database: Database, namespace: int, lanes: SqliteLanes, queues: SqliteQueues
    ) -> None:
        self._database = database
        self._namespace = namespace
        self._lanes = lanes
        self._queues = queues
        self._known: dict[str, Row | None] = {}
        self._changed: dict[str, Row] = {}
        self._removed: list[Row] = []
        self._seen: dict[str, None] = {}
        """Ids of which it need not know more after the transaction."""
        self.delayed = SqliteTimeline(self, database, namespace, "status = 1")
        self.leased = SqliteLeases(self, database, namespace, "status = 2")
        self.final = SqliteTimeline(self, database, namespace, "status > 2")
        self._timelines: dict[Status, SqliteTimeline | None] = {
            **dict.fromkeys(Status, self.final),
            Status.PENDING: None,
            Status.DELAYED: self.delayed,
            Status.WORKING: self.leased,
        }
        """Where tasks of each status are."""
        database.add(self)

    def load(self, ids: Iterable[str]) -> None:
        """See `Records`."""
        known = self._known
        wanted = [task_id for task_id in dict.fromkeys(ids) if task_id not in known]
        if not wanted:
            return
        self._see(wanted)
        known.update(dict.fromkeys(wanted))
        hashes = [hash_of(task_id) for task_id in wanted]
        for columns in self._database.run_in(_SELECT_IDS, hashes, self._namespace):
            row = read_row(*columns)
            if known.get(row.record.envelope.id, row) is None:  # another may have the hash of one
                known[row.record.envelope.id] = row

    def get(self, task_id: str) -> Record | None:
        """See `Records`."""
        if task_id not in self._known:
            self.load([task_id])
        row = self._known[task_id]
        return None if row is None else row.record

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        """See `Records`."""
        envelope, counters = record.envelope, self._database.counters
        row = self._known.get(envelope.id)
        before: Status | None = None
        if row is None:
            row = self._known[envelope.id] = Row(record, counters.above("number"), 0, None)
        else:
            before = record.status
            if (left := self._timelines[before]) is not None:
                left.take(record.when)
        self._queues.move(envelope.queue, before, status)
        self._lanes.move(record, before, status)
        record.status, record.when = status, when
        timeline = self._timelines[status]
        if timeline is None:
            row.position = counters.below("head") if front else counters.above("tail")
        else:
            if timeline is self.final:
                row.position = counters.above("end")
            timeline.put(when)
        self._change(row)

    def save(self, record: Record) -> None:
        """See `Records`."""
        self._change(self.row(record))

    def remove(self, record: Record) -> None:
        """See `Records`."""
        row = self.row(record)
        self._queues.move(record.queue, record.status, None)
        self._lanes.move(record, record.status, None)
        self._lanes.leave(record.lane)
        if (left := self._timelines[record.status]) is not None:
            left.take(record.when)
        self._changed.pop(record.id, None)
        if row.envelope is not None:
            self._removed.append(row)
        self._known[record.id] = None
        self._see([record.id])

    def next_token(self, above: int, now: float) -> int:
        """See `Records`."""
        return self._database.counters.above("token", max(above, int(now * 1e6) - 1))

    def row(self, record: Record) -> Row:
        """Where a record of this step is."""
        row = self._known[record.id]
        assert row is not None
        return row

    def read(self, where: str, *values: Any) -> list[Record]:
        """The records of a condition, with what this transaction has changed."""
        return [row.record for row in self.rows(where, *values)]

    def rows(self, where: str, *values: Any) -> list[Row]:
        """The records of a condition, as `read`, and where they are."""
        self._database.flush()
        found = self._database.run(f"{_SELECT} {where}", *values).fetchall()
        rows = [read_row(*columns) for columns in found]
        self._see([row.record.envelope.id for row in rows])
        return [self._know(row) for row in rows]

    def _know(self, row: Row) -> Row:
        """The row that is known by now, if one is."""
        task_id = row.record.envelope.id
        known = self._known.get(task_id)
        if known is None:
            known = self._known[task_id] = row
        return known

    def _see(self, ids: Collection[str]) -> None:
        self._seen.update(dict.fromkeys(ids))
        self._database.touch(self)

    def _change(self, row: Row) -> None:
        if not self._changed:
            self._database.touch(self)
        task_id = row.record.envelope.id
        self._changed[task_id] = row
        self._seen[task_id] = None

    def flush(self) -> None:
        """See `Part`."""
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, []
        self._delete(removed)
        rows = [*changed.values()]
        new = [row for row in rows if row.envelope is None]
        ids = [(hash_of(row.record.envelope.id), row.number) for row in new]
        self._database.run_rows("INSERT INTO ltq_ids", ids)
        self._database.run_rows(
            "INSERT INTO ltq_tasks", [self._columns(row) for row in rows], _KEEP
        )
        sent = [row for row in rows if row.envelope is not row.record.envelope]
        envelopes = [(row.number, envelope_of(row.record)) for row in sent]
        self._database.run_rows("INSERT INTO ltq_envelopes", envelopes, _KEEP_ENVELOPE)
        for row in sent:
            row.envelope = row.record.envelope

    def _delete(self, rows: Sequence[Row]) -> None:
        numbers = [row.number for row in rows]
        self._database.run_in("DELETE FROM ltq_tasks WHERE number IN", numbers)
        self._database.run_in("DELETE FROM ltq_envelopes WHERE number IN", numbers)
        for some in pieces(rows, _DELETED_TOGETHER):
            marks = ",".join("?" * len(some))
            # Of those with such a hash, no other than these have such a number.
            self._database.run(
                f"DELETE FROM ltq_ids WHERE hash IN ({marks}) AND +number IN ({marks})",
                *(hash_of(row.record.envelope.id) for row in some),
                *(row.number for row in some),
            )

    def _columns(self, row: Row) -> tuple[Any, ...]:
        record = row.record
        envelope = record.envelope
        return (
            row.number,
            self._namespace,
            envelope.queue,
            envelope.lane or envelope.queue,
            int(envelope.priority),
            CODES[record.status],
            record.when,
            row.position,
            state_of(record),
        )

    def committed(self) -> None:
        """See `Part`."""
        known, working = self._known, Status.WORKING
        for task_id in self._seen:
            row = known.get(task_id)
            if row is None or row.record.status is not working:
                known.pop(task_id, None)
        self._seen.clear()
        if len(known) > MOST_KNOWN:
            known.clear()

    def forget(self) -> None:
        """See `Part`."""
        for each in (self._known, self._changed, self._removed, self._seen):
            each.clear()
        for timeline in (self.delayed, self.leased, self.final):
            timeline.forget()


class SqliteTimeline:
    """The tasks of some statuses in the order of their moments: `Timeline`."""

    def __init__(
        self, records: SqliteRecords, database: Database, namespace: int, which: str
    ) -> None:
        self._records = records
        self._database = database
        self._namespace = namespace
        self._where = f"namespace = ? AND {which}"
        self._not_before: float | None = None
        """No moment is earlier; None if that is not known."""
        self._is_first: bool = False
        """Whether that is the earliest moment, or infinity as there is none."""

    def put(self, moment: float) -> None:
        """A task has this moment now."""
        if self._not_before is not None and moment < self._not_before:
            self._not_before = moment

    def take(self, moment: float) -> None:
        """A task does not have this moment any more."""
        if self._not_before is not None and moment <= self._not_before:
            self._is_first = False

    def forget(self) -> None:
        """The file may hold other moments now."""
        self._not_before, self._is_first = None, False

    def next(self) -> float | None:
        """See `Timeline`."""
        if self._not_before is None or not self._is_first:
            self._database.flush()
            query = f"SELECT moment FROM ltq_tasks WHERE {self._where} ORDER BY moment LIMIT 1"
            row = self._database.run(query, self._namespace).fetchone()
            self._not_before = inf if row is None else float(row[0])
            self._is_first = True
        return None if self._not_before == inf else self._not_before

    def is_due(self, now: float) -> bool:
        """Whether a moment may have come."""
        if self._not_before is None:
            self.next()
        return self._not_before is not None and self._not_before <= now

    def due(self, now: float, limit: int) -> list[Record]:
        """See `Timeline`."""
        if not self.is_due(now):
            return []
        self.forget()
        where = f"{self._where} AND moment <= ? ORDER BY moment LIMIT ?"
        return self._records.read(where, self._namespace, now, limit)


class SqliteLeases(SqliteTimeline):
    """The working tasks in the order in which their leases end.

    After an outage none ends for a while, so that its holder may renew it.
    """

    def next(self) -> float | None:
        """See `Timeline`."""
        moment = super().next()
        return None if moment is None else max(moment, self._database.leases_held_until)

    def is_due(self, now: float) -> bool:
        """See `SqliteTimeline`."""
        return now >= self._database.leases_held_until and super().is_due(now)
