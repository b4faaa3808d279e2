"""The lanes of one namespace, with how many tasks each has: `Lanes`."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.rows import waits_since
from ltq.names import queue_of
from ltq.options import Priority
from ltq.state import Status

_COLUMNS = """
name, ready_high, ready_normal, ready_low, served_high, served_normal, served_low, working, used,
used_at"""

_HEADS = """
SELECT tasks.lane, tasks.state FROM ltq_lanes AS lanes
CROSS JOIN ltq_tasks AS tasks ON tasks.number = (
    SELECT number FROM ltq_tasks AS line
    WHERE line.status = 0 AND line.lane = lanes.name AND line.priority = ?
    ORDER BY line.position LIMIT 1)
WHERE lanes.name IN"""
"""The first ready task of a priority in each of some lanes."""

_PENDING, _WORKING = Status.PENDING, Status.WORKING
"""As names of their own: Python 3.11 takes as long to look up a member as for three calls."""

_MOST_KNOWN = 10_000
"""Most lanes that are remembered between transactions."""

Read = Callable[..., list[Record]]
"""`SqliteRecords.read`."""


class SqliteLanes:
    """The lanes: `Lanes`. `read` is set by the one who has the records."""

    read: Read

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Lane | None] = {}
        self._of: dict[str, list[Lane]] = {}
        self._changed: dict[str, Lane] = {}
        self._removed: dict[str, None] = {}
        database.add(self)

    def get(self, names: Iterable[str]) -> list[Lane]:
        """See `Lanes`."""
        found = map(self._find, names)
        return [lane for lane in found if lane is not None]

    def load(self, queues: Iterable[str]) -> None:
        """See `Lanes`."""
        wanted = [queue for queue in dict.fromkeys(queues) if queue not in self._of]
        if not wanted:
            return
        self._database.flush()
        query = f"SELECT {_COLUMNS} FROM ltq_lanes WHERE queue IN"
        found: dict[str, list[Lane]] = {queue: [] for queue in wanted}
        for row in self._database.run_in(query, wanted):
            lane = self._lane(*row)
            found[queue_of(lane.name)].append(lane)
        self._of.update(found)

    def of(self, queue: str) -> Sequence[Lane]:
        """See `Lanes`."""
        if queue not in self._of:
            self.load([queue])
        return list(self._of[queue])

    def in_turn(self, level: Priority) -> None:
        """See `Lanes`: no such order is kept."""

    def first(self, lane: Lane, level: Priority, limit: int) -> list[Record]:
        """See `Lanes`."""
        where = "status = 0 AND lane = ? AND priority = ? ORDER BY position LIMIT ?"
        return self.read(where, lane.name, int(level), limit)

    def waiting_since(self, lanes: Iterable[Lane]) -> dict[str, float]:
        """See `Lanes`."""
        self._database.flush()
        every, since = [*lanes], dict[str, float]()
        for level in Priority:
            names = [lane.name for lane in every if lane.ready[level]]
            for name, state in self._database.run_in(_HEADS, names, int(level)):
                since[name] = min(waits_since(state), since.get(name, inf))
        return since

    def save(self, lane: Lane) -> None:
        """See `Lanes`."""
        if not self._changed:
            self._database.touch(self)
        self._changed[lane.name] = lane

    def move(self, record: Record, before: Status | None, after: Status | None) -> None:
        """A task of a lane has another status; None is for a task that is not there."""
        envelope = record.envelope
        name = envelope.lane or envelope.queue
        lane = self._known.get(name) or self._own(name)
        if before is _PENDING:
            lane.ready[envelope.priority] -= 1
        elif before is _WORKING:
            lane.working -= 1
        if after is _PENDING:
            lane.ready[envelope.priority] += 1
        elif after is _WORKING:
            lane.working += 1
        if name not in self._changed:
            self.save(lane)

    def _own(self, name: str) -> Lane:
        """The lane with a name. If there is none, it is made."""
        lane = self._find(name)
        if lane is None:
            lane = self._known[name] = Lane(name)
            self._removed.pop(name, None)
            if (queue := queue_of(name)) in self._of:
                self._of[queue].append(lane)
            self.save(lane)
        return lane

    def leave(self, name: str) -> None:
        """Forget a lane, if it is empty and nothing was ever claimed from it.

        Its name may come from anywhere, while those that are claimed from are names of code.
        """
        lane, queue = self._find(name), queue_of(name)
        if lane is None or name == queue or any(lane.ready) or any(lane.served) or lane.working:
            return
        self._known[name] = None
        self._changed.pop(name, None)
        self._removed[name] = None
        if queue in self._of:
            self._of[queue].remove(lane)
        self._database.touch(self)

    def has_ready(self, name: str) -> bool:
        """Whether tasks wait in a lane."""
        lane = self._find(name)
        return lane is not None and any(lane.ready)

    def _find(self, name: str) -> Lane | None:
        if name not in self._known:
            rows = self._database.run(f"SELECT {_COLUMNS} FROM ltq_lanes WHERE name = ?", name)
            row = rows.fetchone()
            if row is None:
                self._known[name] = None
            else:
                self._lane(*row)
        return self._known[name]

    def _lane(self, name: str, *columns: Any) -> Lane:
        """The lane of a row: the same object as before."""
        lane = self._known.get(name)
        if lane is None:
            working, used, used_at = columns[6:]
            ready, served = list(columns[:3]), list(columns[3:6])
            lane = self._known[name] = Lane(name, ready, working, served, used, used_at)
        return lane

    def flush(self) -> None:
        """See `Part`."""
        changed, self._changed = self._changed, {}
        removed, self._removed = [*self._removed], {}
        self._database.run_in("DELETE FROM ltq_lanes WHERE name IN", removed)
        columns = [_columns(lane) for lane in changed.values()]
        self._database.run_rows("INSERT OR REPLACE INTO ltq_lanes", columns)

    def committed(self) -> None:
        """See `Part`."""
        if len(self._known) > _MOST_KNOWN:
            self.forget()

    def forget(self) -> None:
        """See `Part`."""
        for each in (self._known, self._of, self._changed, self._removed):
            each.clear()


def _columns(lane: Lane) -> tuple[Any, ...]:
    return (
        lane.name,
        queue_of(lane.name),
        *lane.ready,
        *lane.served,
        lane.working,
        lane.used,
        lane.used_at,
    )
