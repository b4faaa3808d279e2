"""The rules' places in a SQLite database: the proof that a store replaces its places alone.

Not a broker to use: it knows one process, encodes records whole, and writes one by one.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Generic, TypeVar

import msgspec

from ltq._aio.clock import system_clock
from ltq.brokers._rules.places import KeptSlot, Lane, Places
from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.memory._listener import MemoryListener
from ltq.brokers.memory._namespace import Namespace
from ltq.brokers.memory._store import MemoryStore
from ltq.names import namespace_of
from ltq.options import Priority
from ltq.state import Status

V = TypeVar("V")

SCHEMA = """
CREATE TABLE tasks (id TEXT, queue TEXT, lane TEXT, priority INT, status TEXT, moment REAL,
    position INT, record BLOB, PRIMARY KEY (id));
CREATE INDEX lines ON tasks (lane, priority, position) WHERE status = 'pending';
CREATE INDEX timelines ON tasks (status, moment);
CREATE TABLE lanes (name TEXT PRIMARY KEY, high INT, normal INT, low INT, unused_from REAL);
CREATE TABLE queues (name TEXT PRIMARY KEY);
CREATE TABLE dead (number INTEGER PRIMARY KEY, id TEXT UNIQUE, queue TEXT, time REAL, record BLOB);
CREATE TABLE kept (kind TEXT, key TEXT, value BLOB, expires REAL, PRIMARY KEY (kind, key));
CREATE TABLE ended (number INTEGER PRIMARY KEY, id TEXT UNIQUE, token INT);
CREATE TABLE ends (queue TEXT, step INT, many INT, PRIMARY KEY (queue, step));
"""


class Database:
    """The database of one namespace, and what a step has read of it."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.executescript(SCHEMA)
        self.records: dict[str, Record] = {}
        self.lanes: dict[str, Lane] = {}

    def run(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def number(self, statement: str, *values: object) -> int:
        return int(self.run(statement, *values).fetchone()[0] or 0)

    def begin(self, verb: str) -> None:
        self.run(verb)

    def end(self, verb: str) -> None:
        self.run(verb)
        self.records.clear()
        self.lanes.clear()

    def close(self) -> None:
        self._connection.close()

    def read(self, where: str, *values: object) -> list[Record]:
        """The records of a condition, each the same object throughout a step."""
        found = []
        for task_id, blob in self.run(f"SELECT id, record FROM tasks WHERE {where}", *values):
            if task_id not in self.records:
                self.records[task_id] = msgspec.msgpack.decode(blob, type=Record)
            found.append(self.records[task_id])
        return found


class SqliteRecords:
    """`Records`."""

    def __init__(self, database: Database, store: "SqliteStore") -> None:
        self._database = database
        self.next_token = store._next_token

    def load(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        self._database.read(f"id IN ({','.join('?' * len(wanted))})", *wanted)

    def get(self, task_id: str) -> Record | None:
        known = self._database.records.get(task_id)
        return known or next(iter(self._database.read("id = ?", task_id)), None)

    def place(
        self, record: Record, status: Status, when: float = inf, *, front: bool = False
    ) -> None:
        if self.get(record.id) is not None:
            self._count(record, -1)
        record.status, record.when = status, when
        edge = "min(position) - 1" if front else "max(position) + 1"
        position = self._database.number(f"SELECT {edge} FROM tasks")
        self._write(record, position)
        self._database.run(
            "INSERT OR IGNORE INTO lanes VALUES (?, 0, 0, 0, 0.0)",
            record.lane,
        )
        self._count(record, 1)

    def save(self, record: Record) -> None:
        row = self._database.run("SELECT position FROM tasks WHERE id = ?", record.id).fetchone()
        self._write(record, row[0])

    def remove(self, record: Record) -> None:
        self._count(record, -1)
        del self._database.records[record.id]
        self._database.run("DELETE FROM tasks WHERE id = ?", record.id)

    def _write(self, record: Record, position: int) -> None:
        self._database.records[record.id] = record
        self._database.run(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(record.id, record.queue, record.lane, record.envelope.priority),
            *(record.status, record.when, position, msgspec.msgpack.encode(record)),
        )

    def _count(self, record: Record, change: int) -> None:
        lane = self._database.lanes.get(record.lane)
        if lane is not None and record.status is Status.PENDING:
            lane.ready[record.envelope.priority] += change
        if lane is not None and record.status is Status.WORKING:
            lane.working += change


class SqliteTimeline:
    """`Timeline`."""

    def __init__(self, database: Database, *statuses: Status) -> None:
        self._database = database
        self._where = f"status IN ({','.join(repr(str(status)) for status in statuses)})"

    def next(self) -> float | None:
        found = self._database.run(f"SELECT min(moment) FROM tasks WHERE {self._where}").fetchone()
        moment: float | None = found[0]
        return moment

    def due(self, now: float, limit: int) -> list[Record]:
        where = f"{self._where} AND moment <= ? ORDER BY moment, position LIMIT ?"
        return self._database.read(where, now, limit)


class SqliteLanes:
    """`Lanes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, names: Iterable[str]) -> list[Lane]:
        return [lane for name in names for lane in self._read("name = ?", name)]

    def of(self, queue: str) -> list[Lane]:
        return self._read("name = ? OR substr(name, 1, ?) = ?", queue, len(queue) + 1, f"{queue}/")

    def first(self, lane: Lane, level: Priority, limit: int) -> list[Record]:
        where = "status = 'pending' AND lane = ? AND priority = ? ORDER BY position LIMIT ?"
        return self._database.read(where, lane.name, level, limit)

    def save(self, lane: Lane) -> None:
        self._database.run(
            "UPDATE lanes SET high = ?, normal = ?, low = ?, unused_from = ? WHERE name = ?",
            *(*lane.served, lane.unused_from, lane.name),
        )

    def has_ready(self, name: str) -> bool:
        where = "lane = ? AND status = 'pending'"
        return bool(self._database.number(f"SELECT count(*) FROM tasks WHERE {where}", name))

    def _read(self, where: str, *values: object) -> list[Lane]:
        rows = self._database.run(f"SELECT * FROM lanes WHERE {where}", *values).fetchall()
        return [self._lane(name, served, unused_from) for name, *served, unused_from in rows]

    def _lane(self, name: str, served: list[int], unused_from: float) -> Lane:
        lane = self._database.lanes.get(name)
        if lane is None:
            lane = Lane(name, served=served, unused_from=unused_from)
            count = "SELECT count(*) FROM tasks WHERE lane = ? AND status = ?"
            lane.working = self._database.number(count, name, Status.WORKING)
            for level in Priority:
                waiting = f"{count} AND priority = ?"
                lane.ready[level] = self._database.number(waiting, name, Status.PENDING, level)
            self._database.lanes[name] = lane
        return lane


class SqliteQueues:
    """`Queues`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, queue: str) -> None:
        self._database.run("INSERT OR IGNORE INTO queues VALUES (?)", queue)

    def names(self) -> list[str]:
        return [row[0] for row in self._database.run("SELECT name FROM queues")]

    def count(self, queue: str, status: Status) -> int:
        where = "queue = ? AND status = ?"
        return self._database.number(f"SELECT count(*) FROM tasks WHERE {where}", queue, status)

    def waiting(self, queue: str) -> list[Record]:
        return self._database.read("status IN ('pending', 'delayed') AND queue = ?", queue)

    def working(self) -> list[Record]:
        return self._database.read("status = 'working'")


class SqliteDeadRecords:
    """`DeadRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, dead: DeadRecord, *, most: int) -> None:
        record, blob = dead.record, msgspec.msgpack.encode(dead)
        values = (record.id, record.queue, dead.time, blob)
        self._database.run("INSERT OR REPLACE INTO dead VALUES (NULL, ?, ?, ?, ?)", *values)
        newest = "SELECT number FROM dead WHERE queue = ? ORDER BY number DESC LIMIT ?"
        self._database.run(
            f"DELETE FROM dead WHERE queue = ? AND number NOT IN ({newest})",
            *(record.queue, record.queue, most),
        )

    def get(self, task_id: str, after: float) -> DeadRecord | None:
        return next(iter(self._read("id = ? AND time > ?", task_id, after)), None)

    def newest(self, queue: str, after: float, limit: int, offset: int) -> list[DeadRecord]:
        where = "queue = ? AND time > ? ORDER BY number DESC LIMIT ? OFFSET ?"
        return self._read(where, queue, after, limit, offset)

    def count(self, queue: str, after: float) -> int:
        where = "queue = ? AND time > ?"
        return self._database.number(f"SELECT count(*) FROM dead WHERE {where}", queue, after)

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        where = "queue = ? AND time > ? AND time <= ?"
        if ids is not None:
            where += f" AND id IN ({','.join('?' * len(ids))})"
        statement = f"DELETE FROM dead WHERE {where}"
        return self._database.run(statement, queue, after, until, *(ids or ())).rowcount

    def _read(self, where: str, *values: object) -> list[DeadRecord]:
        rows = self._database.run(f"SELECT record FROM dead WHERE {where}", *values)
        return [msgspec.msgpack.decode(blob, type=DeadRecord) for (blob,) in rows]


class SqliteTable(Generic[V]):
    """`Table`."""

    def __init__(self, database: Database, kind: str, type_: type[V]) -> None:
        self._database = database
        self._kind = kind
        self._type = type_

    def get(self, key: str, now: float) -> V | None:
        where = "kind = ? AND key = ? AND expires > ?"
        rows = self._database.run(f"SELECT value FROM kept WHERE {where}", self._kind, key, now)
        row = rows.fetchone()
        return None if row is None else msgspec.msgpack.decode(row[0], type=self._type)

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        self._database.run("DELETE FROM kept WHERE expires <= ?", now)
        blob = msgspec.msgpack.encode(value)
        values = (self._kind, key, blob, expires)
        self._database.run("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", *values)


class SqliteEndedTokens:
    """`EndedTokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, task_id: str) -> int | None:
        row = self._database.run("SELECT token FROM ended WHERE id = ?", task_id).fetchone()
        return None if row is None else row[0]

    def put(self, task_id: str, token: int, *, most: int) -> None:
        self._database.run("INSERT OR REPLACE INTO ended VALUES (NULL, ?, ?)", task_id, token)
        latest = "SELECT max(number) FROM ended"
        self._database.run(f"DELETE FROM ended WHERE number <= ({latest}) - ?", most)


class SqliteEndCounts:
    """`EndCounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, queue: str, step: int, *, oldest: int) -> None:
        self._database.run("DELETE FROM ends WHERE queue = ? AND step < ?", queue, oldest)
        again = "ON CONFLICT DO UPDATE SET many = many + 1"
        self._database.run(f"INSERT INTO ends VALUES (?, ?, 1) {again}", queue, step)

    def total(self, queue: str, first: int, last: int) -> int:
        where = "queue = ? AND step BETWEEN ? AND ?"
        return self._database.number(
            f"SELECT sum(many) FROM ends WHERE {where}", queue, first, last
        )


class SqliteStore(MemoryStore):
    """A memory store whose places are in databases, one a namespace. To look, it only reads."""

    def __init__(self) -> None:
        super().__init__(system_clock)
        self._databases: list[Database] = []
        self._begin = ""

    @contextmanager
    def _step(self) -> Iterator[float]:
        with super()._step() as now, self._transaction("BEGIN IMMEDIATE", "COMMIT"):
            yield now

    @contextmanager
    def _read_step(self) -> Iterator[float]:
        with self._lock, self._transaction("PRAGMA query_only = on", "PRAGMA query_only = off"):
            yield self.clock()

    @contextmanager
    def _transaction(self, begin: str, end: str) -> Iterator[None]:
        self._begin = begin
        for database in self._databases:
            database.begin(begin)
        verb = "ROLLBACK" if end == "COMMIT" else end
        try:
            yield
            verb = end
        finally:
            self._begin = ""
            for database in self._databases:
                database.end(verb)

    def _seen(self, queue: str, now: float) -> Places:
        return self._places(namespace_of(queue))

    def _new_namespace(self, namespace: str) -> Namespace:
        database = Database()
        self._databases.append(database)
        if self._begin:
            database.begin(self._begin)
        lanes = SqliteLanes(database)
        listener = MemoryListener(self._lanes_to_wake, lanes.has_ready)
        final = (status for status in Status if status.is_final)
        places = Places(
            records=SqliteRecords(database, self),
            delayed=SqliteTimeline(database, Status.DELAYED),
            leased=SqliteTimeline(database, Status.WORKING),
            final=SqliteTimeline(database, *final),
            lanes=lanes,
            queues=SqliteQueues(database),
            dead=SqliteDeadRecords(database),
            fingerprints=SqliteTable(database, "fingerprint", str),
            slots=SqliteTable(database, "slot", KeptSlot),
            ended_tokens=SqliteEndedTokens(database),
            end_counts=SqliteEndCounts(database),
            listener=listener,
        )
        return Namespace(places, listener)

    def close(self) -> None:
        for database in self._databases:
            database.close()


class SqliteBroker(MemoryBroker):
    """A broker over such a store."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__("memory://sqlite")
        self._store: SqliteStore = store

    def clone(self) -> "SqliteBroker":
        return SqliteBroker(self._store)
