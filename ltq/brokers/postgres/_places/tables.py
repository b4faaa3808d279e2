"""What a namespace keeps beside its tasks."""

from collections.abc import Collection
from typing import Generic, TypeVar

import msgspec

from ltq.brokers._rules.slot import Change
from ltq.brokers.postgres._places.rows import CODES, STATUS_OF
from ltq.brokers.postgres._places.step import Step
from ltq.state import Status

V = TypeVar("V")

_encode = msgspec.msgpack.Encoder().encode


class PostgresTable(Generic[V]):
    """Values by a key, each until it expires: `Table`. `kind` tells tables apart."""

    def __init__(self, step: Step, namespace: str, kind: str, type_: type[V]) -> None:
        self._step = step
        self._own = namespace, kind
        self._read = msgspec.msgpack.Decoder(type_).decode

    def get(self, key: str, now: float) -> V | None:
        """See `Table`."""
        where = "namespace = %s AND kind = %s AND key = %s AND expires > %s"
        rows = self._step.rows(f"SELECT value FROM ltq.kept WHERE {where}", *self._own, key, now)
        return self._read(rows[0][0]) if rows else None

    def several(self, keys: Collection[str], now: float) -> dict[str, V]:
        """See `Table`."""
        where = "namespace = %s AND kind = %s AND key = ANY(%s) AND expires > %s"
        query = f"SELECT key, value FROM ltq.kept WHERE {where}"
        rows = self._step.rows(query, *self._own, list(keys), now)
        return {key: self._read(value) for key, value in rows}

    def expiry(self, key: str, now: float) -> float:
        """See `Table`."""
        where = "namespace = %s AND kind = %s AND key = %s AND expires > %s"
        rows = self._step.rows(f"SELECT expires FROM ltq.kept WHERE {where}", *self._own, key, now)
        return float(rows[0][0]) if rows else 0.0

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        """See `Table`."""
        self._step.write(
            "INSERT INTO ltq.kept VALUES (%s, %s, %s, %s, %s) ON CONFLICT (namespace, kind, key) "
            "DO UPDATE SET value = excluded.value, expires = excluded.expires",
            *self._own,
            key,
            _encode(value),
            expires,
        )

    def remove(self, key: str) -> None:
        """See `Table`."""
        where = "namespace = %s AND kind = %s AND key = %s"
        self._step.write(f"DELETE FROM ltq.kept WHERE {where}", *self._own, key)

    def values(self, now: float) -> list[V]:
        """See `Table`."""
        where = "namespace = %s AND kind = %s AND expires > %s"
        rows = self._step.rows(f"SELECT value FROM ltq.kept WHERE {where}", *self._own, now)
        return [self._read(value) for (value,) in rows]


class PostgresFingerprints:
    """By fingerprint, the id of the task that was sent with it: `Table`.

    All of it is written at once, so a look at it need not write what other parts have collected.
    """

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace

    def get(self, key: str, now: float) -> str | None:
        """See `Table`."""
        where = "fingerprint = %s AND namespace = %s AND expires > %s"
        query = f"SELECT id FROM ltq.fingerprints WHERE {where}"
        rows = self._step.write(query, key, self._namespace, now)
        return str(rows[0][0]) if rows else None

    def several(self, keys: Collection[str], now: float) -> dict[str, str]:
        """See `Table`."""
        where = "fingerprint = ANY(%s) AND namespace = %s AND expires > %s"
        query = f"SELECT fingerprint, id FROM ltq.fingerprints WHERE {where}"
        return dict(self._step.write(query, list(keys), self._namespace, now))

    def expiry(self, key: str, now: float) -> float:
        """See `Table`."""
        where = "fingerprint = %s AND namespace = %s AND expires > %s"
        query = f"SELECT expires FROM ltq.fingerprints WHERE {where}"
        rows = self._step.write(query, key, self._namespace, now)
        return float(rows[0][0]) if rows else 0.0

    def set(self, key: str, value: str, *, expires: float, now: float) -> None:
        """See `Table`."""
        self._step.write(
            "INSERT INTO ltq.fingerprints VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (fingerprint, namespace) "
            "DO UPDATE SET id = excluded.id, expires = excluded.expires",
            self._namespace,
            key,
            value,
            expires,
        )

    def remove(self, key: str) -> None:
        """See `Table`."""
        where = "fingerprint = %s AND namespace = %s"
        self._step.write(f"DELETE FROM ltq.fingerprints WHERE {where}", key, self._namespace)

    def values(self, now: float) -> list[str]:
        """See `Table`."""
        query = "SELECT id FROM ltq.fingerprints WHERE namespace = %s AND expires > %s"
        return [task_id for (task_id,) in self._step.write(query, self._namespace, now)]


class PostgresChanges:
    """The names of what was changed, in the order of their last change: `Changes`."""

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace

    def note(self, name: str, *, is_gone: bool, most_gone: int) -> None:
        """See `Changes`."""
        own = self._namespace, name
        delete = "DELETE FROM ltq.schedule_changes WHERE namespace = %s AND name = %s"
        self._step.write(delete, *own)
        insert = "INSERT INTO ltq.schedule_changes (namespace, name, gone) VALUES (%s, %s, %s)"
        self._step.write(insert, *own, is_gone)
        old = """
            SELECT number FROM ltq.schedule_changes WHERE namespace = %s AND gone
            ORDER BY number DESC OFFSET %s"""
        delete = f"DELETE FROM ltq.schedule_changes WHERE number IN ({old})"
        self._step.write(delete, self._namespace, most_gone)

    def after(self, number: int, limit: int) -> list[Change]:
        """See `Changes`."""
        query = """
            SELECT name, number, gone FROM ltq.schedule_changes
            WHERE namespace = %s AND number > %s ORDER BY number LIMIT %s"""
        rows = self._step.rows(query, self._namespace, number, limit)
        return [Change(name, found, gone) for name, found, gone in rows]

    def latest(self) -> int:
        """See `Changes`."""
        query = "SELECT max(number) FROM ltq.schedule_changes WHERE namespace = %s"
        return self._step.number(query, self._namespace)


class PostgresEndedTokens:
    """The tokens and statuses of tasks that ended without leaving a state: `EndedTokens`."""

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace

    def get(self, task_id: str) -> tuple[int, Status] | None:
        """See `EndedTokens`."""
        query = """
            SELECT token, status FROM ltq.ended WHERE id = %s AND namespace = %s
            ORDER BY number DESC LIMIT 1"""
        rows = self._step.rows(query, task_id, self._namespace)
        return (rows[0][0], STATUS_OF[rows[0][1]]) if rows else None

    def put(self, task_id: str, ended: tuple[int, Status], *, most: int) -> None:
        """See `EndedTokens`. They are kept for a while, however many they are."""
        token, status = ended
        insert = """
            INSERT INTO ltq.ended (namespace, id, token, status, time)
            VALUES (%s, %s, %s, %s, extract(epoch FROM clock_timestamp()))"""
        self._step.write(insert, self._namespace, task_id, token, CODES[status])
