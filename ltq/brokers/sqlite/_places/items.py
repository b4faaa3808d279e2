"""The items of streams, as rows: `Items`."""

from collections.abc import Sequence

from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.records import SqliteRecords

_MOST_BYTES = 1 << 22
"""Bytes of items after which a read ends."""


class SqliteItems:
    """The items of the tasks of one namespace. They are written at once."""

    def __init__(self, database: Database, records: SqliteRecords) -> None:
        self._database = database
        self._records = records

    def append(self, record: Record, items: Sequence[bytes], most: int) -> None:
        """See `Items`."""
        task, first = self._records.row(record).number, record.items
        kept = range(max(0, len(items) - most), len(items))
        rows = [(task, first + index, bytearray(items[index])) for index in kept]
        self._database.run_rows("INSERT INTO ltq_items", rows)
        last = first + len(items) - most
        if last > 0:
            self._database.run("DELETE FROM ltq_items WHERE task = ? AND number < ?", task, last)

    def read(self, record: Record, after: int, limit: int) -> tuple[int, list[bytes]]:
        """See `Items`."""
        found = "SELECT number, item FROM ltq_items WHERE task = ? AND number >= ?"
        query = f"{found} ORDER BY number LIMIT ?"
        task = self._records.row(record).number
        first, size, items = record.items, 0, list[bytes]()
        for number, item in self._database.run(query, task, after, limit):
            first = min(first, number)
            items.append(item)
            size += len(item)
            if size >= _MOST_BYTES:
                break
        return first, items

    def clear(self, record: Record) -> None:
        """See `Items`."""
        task = self._records.row(record).number
        self._database.run("DELETE FROM ltq_items WHERE task = ?", task)
