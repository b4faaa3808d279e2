"""What a namespace keeps of workflows, in the table of values that expire."""

from collections.abc import Collection, Mapping

import msgspec

from ltq.broker.flows import HELD, ArrivalCount
from ltq.brokers.sqlite._file.database import Database

_encode = msgspec.msgpack.Encoder().encode
_decode_count = msgspec.msgpack.Decoder(ArrivalCount).decode

_INSERT = "INSERT OR REPLACE INTO ltq_kept"
_OF_KIND = "namespace = ? AND kind = ?"


class SqliteEndings:
    """How tasks of workflows ended: `Endings`."""

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._own = namespace, "ending"

    def put(self, key: str, packed: bytes) -> None:
        """See `Endings`."""
        self._database.run_rows(_INSERT, [(*self._own, key, packed, HELD)])

    def values(self, limit: int, most_bytes: int) -> list[bytes]:
        """See `Endings`."""
        query = f"SELECT value FROM ltq_kept WHERE {_OF_KIND} LIMIT ?"
        values: list[bytes] = []
        for (value,) in self._database.run(query, *self._own, limit):
            values.append(value)
            most_bytes -= len(value)
            if most_bytes <= 0:
                break
        return values

    def remove(self, keys: Collection[str]) -> None:
        """See `Endings`."""
        for key in keys:
            self._database.run(
                f"DELETE FROM ltq_kept WHERE {_OF_KIND} AND key = ?", *self._own, key
            )


class SqliteArrivals:
    """What has arrived at tasks that wait for others: `Arrivals`.

    Each task has a kind of its own. The key of a slot is its number, that of the count is empty.
    """

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace

    def read(self, task_id: str, slots: Collection[int]) -> dict[int, bytes]:
        """See `Arrivals`."""
        query = f"SELECT key, value FROM ltq_kept WHERE {_OF_KIND} AND key IN"
        rows = self._database.run_in(query, [*map(str, slots)], *self._of(task_id))
        return {int(key): value for key, value in rows}

    def count(self, task_id: str) -> ArrivalCount | None:
        """See `Arrivals`."""
        query = f"SELECT value FROM ltq_kept WHERE {_OF_KIND} AND key = ''"
        row = self._database.run(query, *self._of(task_id)).fetchone()
        return None if row is None else _decode_count(row[0])

    def write(
        self, task_id: str, values: Mapping[int, bytes], count: ArrivalCount | None, expires: float
    ) -> None:
        """See `Arrivals`."""
        entries = {str(slot): value for slot, value in values.items()}
        if count is not None:
            entries[""] = _encode(count)
        own = self._of(task_id)
        rows = [(*own, key, value, expires) for key, value in entries.items()]
        self._database.run_rows(_INSERT, rows)

    def remove(self, task_id: str, slots: Collection[int] | None = None) -> None:
        """See `Arrivals`."""
        if slots is None:
            self._database.run(f"DELETE FROM ltq_kept WHERE {_OF_KIND}", *self._of(task_id))
            return
        for slot in slots:
            delete = f"DELETE FROM ltq_kept WHERE {_OF_KIND} AND key = ?"
            self._database.run(delete, *self._of(task_id), str(slot))

    def keep_until(self, task_id: str, expires: float) -> None:
        """See `Arrivals`."""
        update = f"UPDATE ltq_kept SET expires = ? WHERE {_OF_KIND}"
        self._database.run(update, expires, *self._of(task_id))

    def _of(self, task_id: str) -> tuple[int, str]:
        return self._namespace, f"slots {task_id}"
