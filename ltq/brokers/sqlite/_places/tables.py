"""What a namespace keeps beside its tasks."""

from collections.abc import Collection
from typing import Generic, TypeVar

import msgspec

from ltq.brokers._rules.slot import Change
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.rows import CODES, STATUS_OF
from ltq.state import Status

V = TypeVar("V")

_encode = msgspec.msgpack.Encoder().encode

_MOST_REMOVED = 10
"""Most expired values that one `set` removes: more than it adds, so that all go in time."""

_EXPIRED = "SELECT namespace, kind, key FROM ltq_kept WHERE expires <= ? LIMIT ?"
_REMOVE = "DELETE FROM ltq_kept WHERE namespace = ? AND kind = ? AND key = ?"


class SqliteTable(Generic[V]):
    """Values by a key, each until it expires: `Table`. `kind` tells tables apart."""

    def __init__(self, database: Database, namespace: int, kind: str, type_: type[V]) -> None:
        self._database = database
        self._own = namespace, kind
        self._read = msgspec.msgpack.Decoder(type_).decode

    def get(self, key: str, now: float) -> V | None:
        """See `Table`."""
        where = "namespace = ? AND kind = ? AND key = ? AND expires > ?"
        found = self._database.run(
            f"SELECT value FROM ltq_kept WHERE {where}", *self._own, key, now
        )
        row = found.fetchone()
        return None if row is None else self._read(row[0])

    def several(self, keys: Collection[str], now: float) -> dict[str, V]:
        """See `Table`."""
        where = "namespace = ? AND kind = ? AND +expires > ? AND key IN"
        query = f"SELECT key, value FROM ltq_kept WHERE {where}"
        rows = self._database.run_in(query, keys, *self._own, now)
        return {key: self._read(value) for key, value in rows}

    def expiry(self, key: str, now: float) -> float:
        """See `Table`."""
        where = "namespace = ? AND kind = ? AND key = ? AND expires > ?"
        query = f"SELECT expires FROM ltq_kept WHERE {where}"
        row = self._database.run(query, *self._own, key, now).fetchone()
        return 0.0 if row is None else float(row[0])

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        """See `Table`."""
        for expired in self._database.run(_EXPIRED, now, _MOST_REMOVED).fetchall():
            self._database.run(_REMOVE, *expired)
        insert = "INSERT OR REPLACE INTO ltq_kept VALUES (?, ?, ?, ?, ?)"
        self._database.run(insert, *self._own, key, _encode(value), expires)

    def remove(self, key: str) -> None:
        """See `Table`."""
        self._database.run(_REMOVE, *self._own, key)

    def values(self, now: float) -> list[V]:
        """See `Table`."""
        where = "namespace = ? AND kind = ? AND expires > ?"
        rows = self._database.run(f"SELECT value FROM ltq_kept WHERE {where}", *self._own, now)
        return [self._read(value) for (value,) in rows.fetchall()]


class SqliteChanges:
    """The names of what was changed, in the order of their last change: `Changes`."""

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace

    def note(self, name: str, *, is_gone: bool, most_gone: int) -> None:
        """See `Changes`."""
        insert = "INSERT OR REPLACE INTO ltq_schedule_changes VALUES (NULL, ?, ?, ?)"
        self._database.run(insert, self._namespace, name, is_gone)
        old = """
            SELECT number FROM ltq_schedule_changes WHERE namespace = ? AND gone
            ORDER BY number DESC LIMIT -1 OFFSET ?"""
        delete = f"DELETE FROM ltq_schedule_changes WHERE number IN ({old})"
        self._database.run(delete, self._namespace, most_gone)

    def after(self, number: int, limit: int) -> list[Change]:
        """See `Changes`."""
        query = """
            SELECT name, number, gone FROM ltq_schedule_changes WHERE namespace = ? AND number > ?
            ORDER BY number LIMIT ?"""
        rows = self._database.run(query, self._namespace, number, limit)
        return [Change(name, found, bool(gone)) for name, found, gone in rows.fetchall()]

    def latest(self) -> int:
        """See `Changes`."""
        query = "SELECT max(number) FROM ltq_schedule_changes WHERE namespace = ?"
        return self._database.number(query, self._namespace)


class SqliteEndedTokens:
    """The tokens and statuses of tasks that ended without leaving a state: `EndedTokens`."""

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace

    def get(self, task_id: str) -> tuple[int, Status] | None:
        """See `EndedTokens`."""
        query = """
            SELECT token, status FROM ltq_ended WHERE id = ? AND namespace = ?
            ORDER BY number DESC LIMIT 1"""
        row = self._database.run(query, task_id, self._namespace).fetchone()
        return None if row is None else (row[0], STATUS_OF[row[1]])

    def put(self, task_id: str, ended: tuple[int, Status], *, most: int) -> None:
        """See `EndedTokens`."""
        token, status = ended
        query = "SELECT max(number) FROM ltq_ended WHERE namespace = ?"
        number = self._database.number(query, self._namespace) + 1
        insert = "INSERT INTO ltq_ended VALUES (?, ?, ?, ?, ?)"
        self._database.run(insert, self._namespace, number, task_id, token, CODES[status])
        delete = "DELETE FROM ltq_ended WHERE namespace = ? AND number <= ?"
        self._database.run(delete, self._namespace, number - most)
