"""The lanes of one namespace, with how many tasks each has: `Lanes`."""

from collections.abc import Callable, Generator, Iterable, Sequence
from math import inf
from typing import Any

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record, waiting_since
from ltq.brokers._rules.store.in_turn import read_in_turn
from ltq.brokers.postgres._places.step import Step, columns
from ltq.names import queue_of
from ltq.options import Priority
from ltq.state import Status

_COUNT = """
(SELECT count(*) FROM (SELECT FROM ltq.tasks AS tasks
WHERE status = 0 AND lane = lanes.name AND priority = {level} {limit}) AS ready)"""

_WORKING = """
(SELECT count(*) FROM ltq.tasks AS tasks
WHERE status = 2 AND namespace = ltq.namespace_of(lanes.name) AND lane = lanes.name)"""

_CAP = 1001
"""How many tasks of a line are counted where only few matter."""

_HEADS = """
SELECT given.name, first.enqueue_time, first.last_requeue_time
FROM unnest(%s::text[], %s::smallint[]) AS given (name, level)
CROSS JOIN LATERAL (
    SELECT enqueue_time, last_requeue_time FROM ltq.tasks AS tasks
    WHERE tasks.status = 0 AND tasks.lane = given.name AND tasks.priority = given.level
    ORDER BY tasks.position LIMIT 1) AS first"""
"""The first ready tasks of some lines."""

_IN_TURN = """
SELECT name FROM ltq.every_lane() AS lanes
WHERE ltq.namespace_of(name) = %s AND EXISTS (
    SELECT FROM ltq.tasks AS tasks
    WHERE status = 0 AND lane = lanes.name AND priority = %s::smallint LIMIT 1)
ORDER BY {served}, name LIMIT %s"""

_SAVE = """
UPDATE ltq.lanes AS lanes SET
    served_high = given.high, served_normal = given.normal, served_low = given.low,
    used = given.used, used_at = given.used_at
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::float8[], %s::float8[])
    AS given (name, high, normal, low, used, used_at)
WHERE lanes.name = given.name"""

_LEAVE = """
DELETE FROM ltq.lanes WHERE name IN (
    SELECT name FROM ltq.lanes AS lanes
    WHERE name = ANY(%s) AND served_high = 0 AND served_normal = 0 AND served_low = 0
    AND NOT EXISTS (SELECT FROM ltq.tasks WHERE status = 0 AND lane = lanes.name)
    FOR UPDATE SKIP LOCKED)"""

Read = Callable[..., list[Record]]
"""`PostgresRecords.read`."""


class PostgresLanes:
    """The lanes: `Lanes`. `read` is set by the one who has the records."""

    read: Read

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace
        self._known: dict[str, Lane | None] = {}
        self._of: dict[str, list[Lane]] = {}
        self._made: dict[str, None] = {}
        self._changed: dict[str, Lane] = {}
        self._left: dict[str, None] = {}

    def get(self, names: Iterable[str]) -> list[Lane]:
        """See `Lanes`."""
        wanted = list(names)
        unknown = [name for name in wanted if name not in self._known]
        if unknown:
            self._load("name = ANY(%s)", unknown)
            for name in unknown:
                self._known.setdefault(name, None)
        found = map(self._known.get, wanted)
        return [lane for lane in found if lane is not None]

    def load(self, queues: Iterable[str]) -> None:
        """See `Lanes`."""
        wanted = [queue for queue in dict.fromkeys(queues) if queue not in self._of]
        if wanted:
            found: dict[str, list[Lane]] = {queue: [] for queue in wanted}
            for lane in self._load("queue = ANY(%s)", wanted):
                found[queue_of(lane.name)].append(lane)
            self._of.update(found)

    def of(self, queue: str) -> Sequence[Lane]:
        """See `Lanes`."""
        self.load([queue])
        return list(self._of[queue])

    def in_turn(self, level: Priority) -> Generator[Lane, None, None]:
        """See `Lanes`."""

        def read(many: int) -> list[Lane]:
            query = _IN_TURN.format(served=f"served_{level.name.lower()}")
            rows = self._step.rows(query, self._namespace, int(level), many)
            return self.get([name for (name,) in rows])

        return read_in_turn(read)

    def first(self, lane: Lane, level: Priority, limit: int) -> list[Record]:
        """See `Lanes`."""
        where = "status = 0 AND lane = %s AND priority = %s::smallint ORDER BY position LIMIT %s"
        return self.read("tasks", where, lane.name, int(level), limit)

    def waiting_since(self, lanes: Iterable[Lane]) -> dict[str, float]:
        """See `Lanes`."""
        lines = [
            (lane.name, int(level)) for lane in lanes for level in Priority if lane.ready[level]
        ]
        since: dict[str, float] = {}
        if lines:
            for name, *times in self._step.rows(_HEADS, *columns(lines)):
                since[name] = min(waiting_since(*times), since.get(name, inf))
        return since

    def save(self, lane: Lane) -> None:
        """See `Lanes`."""
        self._changed[lane.name] = lane
        self._step.touch(self)

    def move(self, record: Record, before: Status | None, after: Status | None) -> None:
        """A task of a lane has another status; None is for a task that is not there."""
        lane = self._known.get(record.lane)
        level = record.envelope.priority
        if lane is not None and before is Status.PENDING:
            lane.ready[level] -= 1
        elif lane is not None and before is Status.WORKING:
            lane.working -= 1
        if after not in (Status.PENDING, Status.DELAYED, Status.WORKING):
            return
        lane = self._own(record.lane)
        if after is Status.PENDING:
            lane.ready[level] += 1
        elif after is Status.WORKING:
            lane.working += 1

    def leave(self, name: str) -> None:
        """Forget a lane of tasks, if it is empty and nothing was ever claimed from it."""
        if name != queue_of(name):
            self._left[name] = None
            self._step.touch(self)

    def has_ready(self, name: str) -> bool:
        """Whether tasks wait in a lane."""
        known = self._known.get(name)
        if known is not None:
            return any(known.ready)
        query = "SELECT FROM ltq.tasks WHERE status = 0 AND lane = %s LIMIT 1"
        return bool(self._step.rows(query, name))

    def _own(self, name: str) -> Lane:
        """The lane with a name. If there is none, it is made."""
        found = self.get([name])
        if found:
            return found[0]
        lane = self._known[name] = Lane(name)
        if (queue := queue_of(name)) in self._of:
            self._of[queue].append(lane)
        self._made[name] = None
        self._step.touch(self)
        return lane

    def _load(self, where: str, value: Any) -> list[Lane]:
        limit = "" if self._step.is_exact else f"LIMIT {_CAP}"
        counts = ", ".join(_COUNT.format(level=int(level), limit=limit) for level in Priority)
        served = "served_high, served_normal, served_low"
        rows = self._step.rows(
            f"SELECT name, {counts}, {served}, {_WORKING}, used, used_at "
            f"FROM ltq.every_lane() AS lanes WHERE {where} ORDER BY name",
            value,
        )
        return [self._lane(*row) for row in rows]

    def _lane(self, name: str, *values: Any) -> Lane:
        """The lane of a row: the same object as before."""
        lane = self._known.get(name)
        if lane is None:
            working, used, used_at = values[6:]
            ready, served = list(values[:3]), list(values[3:6])
            lane = self._known[name] = Lane(name, ready, working, served, used, used_at)
        return lane

    def flush(self) -> None:
        """See `Part`."""
        made, self._made = [*self._made], {}
        changed, self._changed = [*self._changed.values()], {}
        left, self._left = [*self._left], {}
        if made:
            insert = (
                "INSERT INTO ltq.lanes (name, queue) SELECT * FROM unnest(%s::text[], %s::text[])"
            )
            queues = [queue_of(name) for name in made]
            self._step.write(f"{insert} ON CONFLICT DO NOTHING", made, queues)
        if changed:
            rows = [(one.name, *one.served, one.used, one.used_at) for one in changed]
            self._step.write(_SAVE, *columns(rows))
        if left:
            self._step.write(_LEAVE, left)
