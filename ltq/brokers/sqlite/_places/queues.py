"""The queues of one namespace, and how many tasks of each status they have: `Queues`."""

from collections.abc import Callable, Collection, Iterable, Sequence

from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.rows import CODES
from ltq.state import Status

Read = Callable[..., list[Record]]
"""`SqliteRecords.read`."""

_DELAYED = "status = 1 AND queue = ?"
_FIRST_DELAYED = """
SELECT queue, (
    SELECT moment FROM ltq_tasks AS tasks WHERE tasks.status = 1 AND tasks.queue = counts.queue
    ORDER BY moment LIMIT 1)
FROM ltq_counts AS counts WHERE counts.status = 1 AND many > 0 AND counts.queue IN"""
_ENDED_LEASES = """
SELECT queue, moment FROM ltq_tasks WHERE namespace = ? AND status = 2 AND moment < ?"""

_ADD = "ON CONFLICT (queue, status) DO UPDATE SET many = many + excluded.many"


class SqliteQueues:
    """The queues and their tasks: `Queues`. `read` is set by the one who has the records."""

    read: Read

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace
        self._added_names: set[str] = set()
        """Queues that the file has."""
        self._paused: list[str] | None = None
        """Those that are paused; None if not known."""
        self._counts: dict[str, dict[int, int]] = {}
        """Of some queues, how many tasks of each status the file has."""
        self._added: dict[tuple[str, Status], int] = {}
        """What the file does not know yet."""
        database.add(self)

    def add(self, queue: str) -> None:
        """See `Queues`."""
        if queue not in self._added_names:
            insert = "INSERT OR IGNORE INTO ltq_queues VALUES (?, ?, 0)"
            self._database.run(insert, queue, self._namespace)
            self._added_names.add(queue)

    def names(self) -> Sequence[str]:
        """See `Queues`."""
        return self._names("SELECT name FROM ltq_queues WHERE namespace = ?")

    def pause(self, queue: str) -> None:
        """See `Queues`."""
        self._set_paused(queue, paused=True)

    def resume(self, queue: str) -> None:
        """See `Queues`."""
        self._set_paused(queue, paused=False)

    def _set_paused(self, queue: str, *, paused: bool) -> None:
        self._database.run("UPDATE ltq_queues SET paused = ? WHERE name = ?", paused, queue)
        self._paused = None

    def paused(self) -> Sequence[str]:
        """See `Queues`."""
        if self._paused is None:
            some = "SELECT name FROM ltq_queues WHERE namespace = ? AND paused = 1"
            self._paused = self._names(some)
        return self._paused

    def _names(self, query: str) -> list[str]:
        return [name for (name,) in self._database.run(query, self._namespace).fetchall()]

    def load(self, queues: Iterable[str]) -> None:
        """See `Queues`."""
        wanted = [queue for queue in dict.fromkeys(queues) if queue not in self._counts]
        stored = "SELECT queue, status, many FROM ltq_counts WHERE queue IN"
        found: dict[str, dict[int, int]] = {queue: {} for queue in wanted}
        for queue, code, many in self._database.run_in(stored, wanted):
            found[queue][code] = many
        self._counts.update(found)

    def count(self, queue: str, status: Status) -> int:
        """See `Queues`."""
        if queue not in self._counts:
            self.load([queue])
        stored = self._counts[queue].get(CODES[status], 0)
        return stored + self._added.get((queue, status), 0)

    def move(self, queue: str, before: Status | None, after: Status | None) -> None:
        """A task of a queue has another status; None is for a task that is not there."""
        added = self._added
        if not added:
            self._database.touch(self)
        if before is not None:
            key = queue, before
            added[key] = added.get(key, 0) - 1
        if after is not None:
            key = queue, after
            added[key] = added.get(key, 0) + 1

    def waiting(self, queue: str, most: int) -> list[Record]:
        """See `Queues`."""
        lanes = "SELECT name FROM ltq_lanes WHERE queue = ?"
        ready = self.read(
            f"status = 0 AND lane IN ({lanes}) AND queue = ? LIMIT ?", queue, queue, most
        )
        return ready + self.read(f"{_DELAYED} LIMIT ?", queue, most - len(ready))

    def first_delayed(self, queues: Collection[str]) -> dict[str, float]:
        """See `Queues`."""
        self._database.flush()
        return dict(self._database.run_in(_FIRST_DELAYED, queues))

    def working(self) -> list[Record]:
        """See `Queues`."""
        return self.read("namespace = ? AND status = 2", self._namespace)

    def ended_leases(self, before: float) -> dict[str, list[float]]:
        """See `Queues`."""
        self._database.flush()
        ended: dict[str, list[float]] = {}
        rows = self._database.run(_ENDED_LEASES, self._namespace, before)
        for queue, moment in rows.fetchall():
            ended.setdefault(queue, []).append(moment)
        return ended

    def flush(self) -> None:
        """See `Part`."""
        added, self._added = self._added, {}
        changes = [(queue, CODES[status], many) for (queue, status), many in added.items() if many]
        for queue, code, many in changes:
            if (counts := self._counts.get(queue)) is not None:
                counts[code] = counts.get(code, 0) + many
        self._database.run_rows("INSERT INTO ltq_counts", changes, _ADD)

    def committed(self) -> None:
        """See `Part`."""

    def forget(self) -> None:
        """See `Part`."""
        self._paused = None
        self._added_names.clear()
        self._counts.clear()
        self._added.clear()
