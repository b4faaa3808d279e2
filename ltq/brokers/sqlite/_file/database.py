"""One open file: its transactions, and what is known of it between them."""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from ltq._aio.clock import Clock
from ltq.brokers.sqlite._file.errors import is_busy
from ltq.brokers.sqlite._file.opening import BUSY_PATIENCE, identity_of
from ltq.brokers.sqlite._file.room import check_room
from ltq.brokers.sqlite._file.tables import check_version, version_of

T = TypeVar("T")

Notice = tuple[str, str]
"""What happened, as a topic that listeners listen to, and a detail."""

_LONG_WAIT = 1.0
"""Seconds: who got no lock for so long may have missed to renew leases."""

_OUTAGE_HOLD = 2.0
"""Seconds after that in which others may renew their leases."""

_PAUSE = 0.001
"""Seconds between attempts to get a lock."""

_MOST_FREE = 1000
"""Pages that may be free, for what comes next; and how many are given back at once."""

_ROWS_TOGETHER = (100, 64, 50, 32, 16, 8, 4, 2, 1)
"""How many rows one statement inserts: any number needs few statements, and what a worker with 100
slots claims or ends at once needs one."""

_MOST_PLACEHOLDERS = 999
"""Values of one statement: what any SQLite allows."""

_VALUES_TOGETHER = (500, 100, 20, 5, 1)
"""How many values one `IN (...)` has."""


class Part(Protocol):
    """Something that keeps what it read of a file, and collects what it will write."""

    def flush(self) -> None:
        """Write what was collected."""
        ...

    def committed(self) -> None:
        """What was written is in the file now."""
        ...

    def forget(self) -> None:
        """What it knows may not be what is in the file."""
        ...


class Database:
    """A file that is open in the thread that made this. All parts share its transactions.

    What parts know stays true between transactions until another connection writes, which each
    transaction finds out when it begins.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock: Clock,
        on_begin: Callable[["Database", bool], None] = lambda *_: None,
    ) -> None:
        self.clock = clock
        self.connection = connection
        self._path = path
        self._identity = identity_of(path)
        self._log = Path(f"{os.path.realpath(path)}-wal")
        self._log_identity = identity_of(self._log)
        self.is_durable: bool = True
        """Whether commits wait for the disk."""
        self.was_away: bool = False
        """Whether calls have failed since the last transaction began."""
        self.leases_held_until: float = -inf
        """Until then no lease counts as ended."""
        self._on_begin = on_begin
        self._is_synchronous: bool | None = None
        self.is_writing = False
        self.notices: dict[Notice, None] = {}
        """What the present transaction will tell, once it is in the file."""
        self._more = 0
        """For how many bytes of new tasks the present transaction was asked."""
        self._is_open = False
        self._version: int | None = None
        self.edition = 0
        """Another number once a backup was restored into the file: SQLite sees to that."""
        self._parts: WeakSet[Part] = WeakSet()
        self._touched: dict[Part, None] = {}
        self._flushed: dict[Part, None] = {}
        self.counters = Counters(self)

    def add(self, part: Part) -> None:
        """A part that is told when to write, and when to forget."""
        self._parts.add(part)

    def touch(self, part: Part) -> None:
        """A part has something to write, or something that it must not know for longer."""
        self._touched[part] = None

    # Transactions

    def begin(self, *, writes: bool) -> None:
        """Begin a transaction, or go on in the one that is open.

        `on_begin` is called with whether another connection has written since the last one.
        """
        if self._is_open:
            if self.is_writing or not writes:
                return
            self.commit()  # what only reads cannot begin to write
        if writes:
            self._set_synchronous()
        self._lock("BEGIN IMMEDIATE" if writes else "BEGIN")
        self._is_open, self.is_writing, self._more = True, writes, 0
        version = self._data_version()
        is_other = version != self._version
        if is_other:
            check_version(
                version_of(self.connection, self._path), self._path
            )  # it may be new by now
            self._version = version
            self.edition = self.number("PRAGMA schema_version")
            self._forget()
        self._on_begin(self, is_other)

    def _lock(self, statement: str) -> None:
        """Begin, as soon as others let us."""
        began = time.monotonic()
        while True:
            try:
                self.connection.execute(statement)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() - began >= BUSY_PATIENCE:
                    raise
                time.sleep(_PAUSE)  # mostly SQLite has waited already, but not always
            else:
                break
        if self.was_away or time.monotonic() - began > _LONG_WAIT:
            self.was_away = False
            self.leases_held_until = self.clock() + _OUTAGE_HOLD

    def flush(self) -> None:
        """Write what all parts have collected, so that statements see it."""
        while self._touched:
            touched, self._touched = self._touched, {}
            self._flushed |= touched
            for part in touched:
                part.flush()

    def commit(self) -> None:
        """End the transaction, and keep its changes."""
        if not self._is_open:
            return
        self.flush()
        self.connection.execute("COMMIT")
        self._is_open = self.is_writing = False
        flushed, self._flushed = self._flushed, {}
        for part in flushed:
            part.committed()

    def rollback(self) -> None:
        """End the transaction, and undo its changes."""
        self._touched, self._flushed, self.notices = {}, {}, {}
        self._forget()
        self._is_open = self.is_writing = False
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def trim(self) -> None:
        """Give back some of the pages that are not in use, if these are many."""
        free = self.number("PRAGMA freelist_count")
        if free > _MOST_FREE and free > self.number("PRAGMA page_count") // 4:
            # A page for each step: only a script is taken to its end.
            self.connection.executescript(f"PRAGMA incremental_vacuum({_MOST_FREE})")

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def is_replaced(self) -> bool:
        """Whether another file, or none, is at its path."""
        return identity_of(self._path) != self._identity

    def has_lost_its_log(self) -> bool:
        """Whether others do not see what is written, as they have another log, or none.

        That happens when somebody removes it, or when a program reads the file by itself in this
        process: closing it, the system drops all locks, and others take the file for closed.
        """
        return identity_of(self._log) != self._log_identity

    def check_room(self, more: int = 0) -> None:
        """Raise `FullError` if new tasks of so many bytes would take the last room of the disk.

        Those that this transaction has been asked for before count as well.
        """
        self._more += more
        check_room(self._path, self._log, self._more, self._unused)

    def _unused(self) -> int:
        free, size = self.number("PRAGMA freelist_count"), self.number("PRAGMA page_size")
        return free * size

    def has_news(self) -> bool:
        """Whether another connection has written since the last transaction."""
        return self._data_version() != self._version

    def _set_synchronous(self) -> None:
        if self._is_synchronous is not self.is_durable:
            self.connection.execute(
                f"PRAGMA synchronous = {'FULL' if self.is_durable else 'NORMAL'}"
            )
            self._is_synchronous = self.is_durable

    def _data_version(self) -> int:
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _forget(self) -> None:
        for part in self._parts:
            part.forget()

    # Statements

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run a statement as it is: what parts have collected is not seen."""
        return self.connection.execute(statement, values)

    def run_rows(self, insert: str, rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert rows, many with one statement; `conflict` says what if one is there.

        Python lets other threads run during each step of a statement, and waits for its turn
        afterwards: a step for each row would take long beside a busy event loop.
        """
        if not rows:
            return
        most = _MOST_PLACEHOLDERS // len(rows[0])
        for some in pieces(rows, [size for size in _ROWS_TOGETHER if size <= most]):
            statement = _inserting(insert, len(some), len(some[0]), conflict)
            self.connection.execute(statement, [value for row in some for value in row])

    def number(self, statement: str, *values: Any) -> int:
        """The first value of the first row, 0 if there is none."""
        row = self.connection.execute(statement, values).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])

    def run_in(
        self, statement: str, values: Collection[Any], *first: Any, last: str = ""
    ) -> list[Any]:
        """The rows of a statement that ends with `IN`, with these values in its brackets.

        `first` are the values before them, `last` is what comes behind the brackets.
        """
        rows: list[Any] = []
        for some in pieces([*values], _VALUES_TOGETHER):
            marks = ",".join("?" * len(some))
            rows += self.connection.execute(f"{statement} ({marks}) {last}", (*first, *some))
        return rows

    def namespace(self, name: str) -> int:
        """The number of a namespace. 0 if it is unknown and this transaction only reads."""
        number = self.number("SELECT number FROM ltq_namespaces WHERE name = ?", name)
        if number or not self.is_writing:
            return number
        return self.run("INSERT INTO ltq_namespaces (name) VALUES (?)", name).lastrowid or 0

    def namespaces(self) -> list[str]:
        """The names of all namespaces."""
        return [name for (name,) in self.run("SELECT name FROM ltq_namespaces ORDER BY number")]


class Counters:
    """Numbers that only grow or fall, such as tokens: those of the file, read when needed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._values: dict[str, int] = {}
        self._changed: set[str] = set()
        database.add(self)

    def above(self, name: str, least: int = 0) -> int:
        """A number above `least` and all that were given before."""
        last = self._values[name] if name in self._changed else self._value(name)
        value = self._values[name] = max(least, last) + 1
        return value

    def below(self, name: str) -> int:
        """A negative number below all that were given before."""
        value = self._values[name] = self._value(name) - 1
        return value

    def _value(self, name: str) -> int:
        """The last number that was given. Who asks for it, sets another."""
        if name not in self._changed:
            self._changed.add(name)
            self._database.touch(self)
        value = self._values.get(name)
        if value is None:
            value = self._database.number("SELECT value FROM ltq_counters WHERE name = ?", name)
        return value

    def flush(self) -> None:
        """See `Part`."""
        changed, self._changed = self._changed, set()
        again = "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        rows = [(name, self._values[name]) for name in changed]
        self._database.run_rows("INSERT INTO ltq_counters", rows, again)

    def committed(self) -> None:
        """See `Part`."""

    def forget(self) -> None:
        """See `Part`."""
        self._values.clear()
        self._changed.clear()


@lru_cache(maxsize=256)
def _inserting(insert: str, rows: int, columns: int, conflict: str) -> str:
    marks = f"({','.join('?' * columns)})"
    return f"{insert} VALUES {','.join([marks] * rows)} {conflict}"


def pieces(values: Sequence[T], sizes: Sequence[int]) -> Iterator[Sequence[T]]:
    """Cut values into pieces of these sizes, the largest first; the last size is 1.

    Few sizes mean few statements, so that SQLite need not compile many.
    """
    start = 0
    for size in sizes:
        while len(values) - start >= size:
            yield values[start : start + size]
            start += size
