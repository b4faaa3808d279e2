"""The queues of one namespace, and how many tasks of each status they have: `Queues`."""

from collections.abc import Callable, Collection, Iterable, Sequence

from ltq.brokers._rules.record import Record
from ltq.brokers.postgres._places.rows import CODES
from ltq.brokers.postgres._places.step import Step
from ltq.state import Status

Read = Callable[..., list[Record]]
"""`PostgresRecords.read`."""

_READY = """
status = 0 AND lane IN (SELECT name FROM ltq.every_lane() WHERE queue = %s)
AND priority IN (0, 1, 2) LIMIT %s"""

_COUNTS = {
    Status.PENDING: """
        SELECT lanes.queue, count(*) FROM ltq.every_lane() AS lanes
        JOIN ltq.tasks AS tasks ON tasks.status = 0 AND tasks.lane = lanes.name
        WHERE lanes.queue = ANY(%s) GROUP BY lanes.queue""",
    Status.DELAYED: """
        SELECT queue, count(*) FROM ltq.tasks WHERE status = 1 AND queue = ANY(%s)
        GROUP BY queue""",
    Status.WORKING: """
        SELECT queue, count(*) FROM ltq.tasks
        WHERE status = 2 AND namespace = %s AND queue = ANY(%s) GROUP BY queue""",
}

_FIRST_DELAYED = """
SELECT given.queue, first.moment FROM unnest(%s::text[]) AS given (queue)
CROSS JOIN LATERAL (
    SELECT moment FROM ltq.tasks AS tasks WHERE tasks.status = 1 AND tasks.queue = given.queue
    ORDER BY moment, position LIMIT 1) AS first"""

_ENDED_LEASES = """
SELECT queue, moment FROM ltq.tasks WHERE status = 2 AND namespace = %s AND moment < %s"""


class PostgresQueues:
    """The queues and their tasks: `Queues`. `read` is set by the one who has the records."""

    read: Read

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace
        self._paused: dict[str, bool] | None = None
        self._announced: list[str] = []
        """Queues that `count` will be called with."""
        self._counts: dict[Status, dict[str, int]] = {}
        """Of these, how many tasks have a status, as far as that was asked for."""
        self._counted_at = 0
        """`Step.changes` when they were counted."""

    def add(self, queue: str) -> None:
        """See `Queues`."""
        if queue not in self._all():
            insert = "INSERT INTO ltq.queues (name, namespace) VALUES (%s, %s)"
            self._step.write(f"{insert} ON CONFLICT DO NOTHING", queue, self._namespace)
            self._all()[queue] = False

    def names(self) -> Sequence[str]:
        """See `Queues`."""
        return list(self._all())

    def pause(self, queue: str) -> None:
        """See `Queues`."""
        self._set_paused(queue, paused=True)

    def resume(self, queue: str) -> None:
        """See `Queues`."""
        self._set_paused(queue, paused=False)

    def _set_paused(self, queue: str, *, paused: bool) -> None:
        self._step.write("UPDATE ltq.queues SET paused = %s WHERE name = %s", paused, queue)
        self._paused = None

    def paused(self) -> Sequence[str]:
        """See `Queues`."""
        return [queue for queue, is_paused in self._all().items() if is_paused]

    def load(self, queues: Iterable[str]) -> None:
        """See `Queues`."""
        self._announced = list(dict.fromkeys(queues))
        self._counts.clear()

    def count(self, queue: str, status: Status) -> int:
        """See `Queues`."""
        if queue not in self._announced:
            return self._count([queue], status).get(queue, 0)
        if self._counted_at != self._step.changes:
            self._counted_at = self._step.changes
            self._counts.clear()
        if status not in self._counts:
            self._counts[status] = self._count(self._announced, status)
        return self._counts[status].get(queue, 0)

    def _count(self, queues: Sequence[str], status: Status) -> dict[str, int]:
        if status is Status.WORKING:
            return dict(self._step.rows(_COUNTS[status], self._namespace, queues))
        if status in _COUNTS:
            return dict(self._step.rows(_COUNTS[status], queues))
        now = "extract(epoch FROM clock_timestamp())"
        query = "SELECT queue, count(*) FROM ltq.final WHERE queue = ANY(%s) AND status = %s"
        where = f"AND moment > {now} GROUP BY queue"
        return dict(self._step.rows(f"{query} {where}", queues, CODES[status]))

    def waiting(self, queue: str, most: int) -> list[Record]:
        """See `Queues`."""
        ready = self.read("tasks", _READY, queue, most)
        where = "status = 1 AND queue = %s LIMIT %s"
        return ready + self.read("tasks", where, queue, most - len(ready))

    def first_delayed(self, queues: Collection[str]) -> dict[str, float]:
        """See `Queues`."""
        return dict(self._step.rows(_FIRST_DELAYED, list(queues)))

    def working(self) -> list[Record]:
        """See `Queues`."""
        return self.read("tasks", "status = 2 AND namespace = %s", self._namespace)

    def ended_leases(self, before: float) -> dict[str, list[float]]:
        """See `Queues`."""
        ended: dict[str, list[float]] = {}
        for queue, moment in self._step.rows(_ENDED_LEASES, self._namespace, before):
            ended.setdefault(queue, []).append(moment)
        return ended

    def _all(self) -> dict[str, bool]:
        if self._paused is None:
            all_of = "SELECT name, paused FROM ltq.every_queue() WHERE namespace = %s"
            self._paused = dict(self._step.rows(all_of, self._namespace))
        return self._paused
