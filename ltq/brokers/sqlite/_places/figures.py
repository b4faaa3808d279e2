"""What a namespace counts, by queue and time. Counts are added up, and written together."""

from collections import Counter
from collections.abc import Collection, Mapping

from ltq.brokers.sqlite._file.database import Database

_ADD_END = "ON CONFLICT (queue, step) DO UPDATE SET many = many + excluded.many"
_ADD_FIGURE = "ON CONFLICT (queue, minute, name) DO UPDATE SET many = many + excluded.many"


class _Old:
    """Which steps of time were removed, so that they are only once."""

    def __init__(self, database: Database, table: str, column: str) -> None:
        self._database = database
        self._delete = f"DELETE FROM {table} WHERE queue = ? AND {column} < ?"
        self._removed: dict[str, int] = {}
        self._oldest: dict[str, int] = {}

    def keep_from(self, queue: str, oldest: int) -> None:
        """Nothing of a queue before this step is needed."""
        self._oldest[queue] = oldest

    def flush(self) -> None:
        """Remove what is not needed."""
        for queue, oldest in self._oldest.items():
            if self._removed.get(queue) != oldest:
                self._database.run(self._delete, queue, oldest)
        self._removed.update(self._oldest)
        self._oldest.clear()

    def forget(self) -> None:
        """The file may hold old steps again."""
        self._removed.clear()
        self._oldest.clear()


class SqliteEndCounts:
    """How many tasks ended, by queue and step of time: `EndCounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._added: Counter[tuple[str, int]] = Counter()
        self._old = _Old(database, "ltq_ends", "step")
        database.add(self)

    def add(self, queue: str, step: int, many: int, *, oldest: int) -> None:
        """See `EndCounts`."""
        if not self._added:
            self._database.touch(self)
        self._added[queue, step] += many
        self._old.keep_from(queue, oldest)

    def totals(self, queues: Collection[str], first: int, last: int) -> dict[str, int]:
        """See `EndCounts`."""
        self._database.flush()
        query = "SELECT queue, sum(many) FROM ltq_ends WHERE step BETWEEN ? AND ? AND queue IN"
        return dict(self._database.run_in(query, queues, first, last, last="GROUP BY queue"))

    def flush(self) -> None:
        """See `Part`."""
        added, self._added = self._added, Counter()
        rows = [(*key, many) for key, many in added.items()]
        self._database.run_rows("INSERT INTO ltq_ends", rows, _ADD_END)
        self._old.flush()

    def committed(self) -> None:
        """See `Part`."""

    def forget(self) -> None:
        """See `Part`."""
        self._added.clear()
        self._old.forget()


class SqliteHistory:
    """What was counted in each minute of a queue: `HistoryFigures`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._added: dict[tuple[str, int], dict[str, int]] = {}
        self._old = _Old(database, "ltq_figures", "minute")
        database.add(self)

    def add(self, queue: str, minute: int, figures: Mapping[str, int], *, oldest: int) -> None:
        """See `HistoryFigures`."""
        added = self._added.get((queue, minute))
        if added is None:
            self._database.touch(self)
            added = self._added[queue, minute] = {}
            self._old.keep_from(queue, oldest)
        for name, many in figures.items():
            added[name] = added.get(name, 0) + many

    def read(self, queue: str, first: int, last: int) -> dict[int, dict[str, int]]:
        """See `HistoryFigures`."""
        self._database.flush()
        query = (
            "SELECT minute, name, many FROM ltq_figures WHERE queue = ? AND minute BETWEEN ? AND ?"
        )
        found: dict[int, dict[str, int]] = {}
        for minute, name, many in self._database.run(query, queue, first, last).fetchall():
            found.setdefault(minute, {})[name] = many
        return found

    def flush(self) -> None:
        """See `Part`."""
        added, self._added = self._added, {}
        rows = [(*key, name, many) for key, some in added.items() for name, many in some.items()]
        self._database.run_rows("INSERT INTO ltq_figures", rows, _ADD_FIGURE)
        self._old.flush()

    def committed(self) -> None:
        """See `Part`."""

    def forget(self) -> None:
        """See `Part`."""
        self._added.clear()
        self._old.forget()
