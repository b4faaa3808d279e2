"""The lanes of one namespace, with how many tasks each has: `Lanes`."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from math import inf
from typing import Any

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.store.in_turn import read_in_turn
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.rows import waits_since
from ltq.names import queue_of
from ltq.options import Priority
from ltq.state import Status

_COUNTS = ["ready_high", "ready_normal", "ready_low", "working", "used", "used_at"]
_SERVED = [f"served_{level.name.lower()}" for level in Priority]
_TURNS = [f"turn_{level.name.lower()}" for level in Priority]
_COLUMNS = ", ".join(["name", *_COUNTS, *_SERVED])
_INSERT = f"""
INSERT INTO ltq_lanes (namespace, queue, name, {", ".join(_COUNTS + _SERVED + _TURNS)})"""

_IN_TURN = """
SELECT {columns} FROM ltq_lanes WHERE namespace = ? AND {turn} IS NOT NULL
ORDER BY {turn}, number LIMIT ?"""
_LEVELS = range(len(Priority))

_MOST_WAITING = 16
"""While fewer lanes are waiting, it is remembered which."""

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


@dataclass(slots=True, eq=False)
class SqliteLane(Lane):
    """A lane that is, or will be, in the file."""

    kept: list[int | None] = field(default_factory=lambda: [None] * len(Priority))
    """The turns that are in the file: of each priority `served`, or None if no task waits."""


class SqliteLanes:
    """The lanes: `Lanes`. `read` is set by the one who has the records."""

    read: Read

    def __init__(self, database: Database, namespace: int) -> None:
        self._database = database
        self._namespace = namespace
        self._known: dict[str, SqliteLane | None] = {}
        self._of: dict[str, list[SqliteLane]] = {}
        self._waiting: dict[Priority, dict[str, SqliteLane]] = {}
        """The lanes in which tasks of a priority wait, if they are known: then they are few."""
        self._changed: dict[str, SqliteLane] = {}
        self._removed: dict[str, None] = {}
        database.add(self)

    def get(self, names: Iterable[str]) -> list[SqliteLane]:
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
        found: dict[str, list[SqliteLane]] = {queue: [] for queue in wanted}
        for row in self._database.run_in(query, wanted):
            lane = self._lane(*row)
            found[queue_of(lane.name)].append(lane)
        self._of.update(found)

    def of(self, queue: str) -> Sequence[SqliteLane]:
        """See `Lanes`."""
        if queue not in self._of:
            self.load([queue])
        return list(self._of[queue])

    def in_turn(self, level: Priority) -> Generator[Lane, None, None]:
        """See `Lanes`."""
        waiting = self._waiting.get(level)
        if waiting is None:
            yield from read_in_turn(partial(self._read_in_turn, level))
        else:
            yield from sorted(waiting.values(), key=lambda lane: lane.served[level])

    def _read_in_turn(self, level: Priority, many: int) -> list[SqliteLane]:
        self._database.flush()
        query = _IN_TURN.format(turn=_TURNS[level], columns=_COLUMNS)
        rows = self._database.run(query, self._namespace, many).fetchall()
        lanes = [self._lane(*columns) for columns in rows]
        if len(lanes) < min(many, _MOST_WAITING):
            self._waiting[level] = {lane.name: lane for lane in lanes}
        return lanes

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
        self._changed[lane.name] = self._own(lane.name)

    def move(self, record: Record, before: Status | None, after: Status | None) -> None:
        """A task of a lane has another status; None is for a task that is not there."""
        envelope = record.envelope
        name = envelope.lane or envelope.queue
        lane = self._known.get(name) or self._own(name)
        if before is _PENDING:
            self._wait(lane, envelope.priority, -1)
        elif before is _WORKING:
            lane.working -= 1
        if after is _PENDING:
            self._wait(lane, envelope.priority, 1)
        elif after is _WORKING:
            lane.working += 1
        if name not in self._changed:
            self.save(lane)

    def _wait(self, lane: SqliteLane, level: Priority, more: int) -> None:
        """One more task waits in a lane, or one less."""
        lane.ready[level] += more
        if lane.ready[level] > 1 or (waiting := self._waiting.get(level)) is None:
            return
        if not lane.ready[level]:
            del waiting[lane.name]
        elif more > 0:
            waiting[lane.name] = lane
            if len(waiting) == _MOST_WAITING:
                del self._waiting[level]

    def _own(self, name: str) -> SqliteLane:
        """The lane with a name. If there is none, it is made."""
        lane = self._find(name)
        if lane is None:
            lane = self._known[name] = SqliteLane(name)
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

    def _find(self, name: str) -> SqliteLane | None:
        if name not in self._known:
            rows = self._database.run(f"SELECT {_COLUMNS} FROM ltq_lanes WHERE name = ?", name)
            row = rows.fetchone()
            if row is None:
                self._known[name] = None
            else:
                self._lane(*row)
        return self._known[name]

    def _lane(self, name: str, *columns: Any) -> SqliteLane:
        """The lane of a row: the same object as before."""
        lane = self._known.get(name)
        if lane is None:
            working, used, used_at = columns[3:6]
            ready, served = list(columns[:3]), list(columns[6:])
            lane = SqliteLane(name, ready, working, served, used, used_at)
            lane.kept = _turns(lane)
            self._known[name] = lane
        return lane

    def flush(self) -> None:
        """See `Part`."""
        changed, self._changed = self._changed, {}
        removed, self._removed = [*self._removed], {}
        self._database.run_in("DELETE FROM ltq_lanes WHERE name IN", removed)
        rows: dict[tuple[int, ...], list[tuple[Any, ...]]] = {}
        for lane in changed.values():
            kept, turns = lane.kept, _turns(lane)
            moved = () if kept == turns else tuple(n for n in _LEVELS if kept[n] != turns[n])
            rows.setdefault(moved, []).append((self._namespace, *_columns(lane), *turns))
            lane.kept = turns
        for moved, some in rows.items():
            self._database.run_rows(_INSERT, some, _keeping(moved))

    def committed(self) -> None:
        """See `Part`."""
        if len(self._known) > _MOST_KNOWN:
            self.forget()

    def forget(self) -> None:
        """See `Part`."""
        for each in (self._known, self._of, self._waiting, self._changed, self._removed):
            each.clear()


def _columns(lane: Lane) -> tuple[Any, ...]:
    counts = [*lane.ready, lane.working, lane.used, lane.used_at]
    return (queue_of(lane.name), lane.name, *counts, *lane.served)


def _turns(lane: Lane) -> list[int | None]:
    return [
        served if ready else None for served, ready in zip(lane.served, lane.ready, strict=True)
    ]


@cache
def _keeping(moved: tuple[int, ...]) -> str:
    """What of a lane is written that is there: not the turns that stay, nor to their indexes."""
    changed = _COUNTS + _SERVED + [_TURNS[number] for number in moved]
    return f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{x} = excluded.{x}' for x in changed)}"
