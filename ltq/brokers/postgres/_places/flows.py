"""What a namespace keeps of workflows, in the table of values that expire."""

from collections.abc import Collection, Mapping

from ltq.broker.flows import HELD, ArrivalCount
from ltq.brokers.postgres._places.step import Step

_INSERT = """
INSERT INTO ltq.kept SELECT %s, %s, key, value, %s
FROM unnest(%s::text[], %s::bytea[]) AS given (key, value)
ON CONFLICT (namespace, kind, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""
_VALUES = """
SELECT value FROM (
    SELECT value, sum(length(value)) OVER (ORDER BY key) - length(value) AS before
    FROM ltq.kept WHERE namespace = %s AND kind = %s ORDER BY key LIMIT %s
) AS sized WHERE before < %s
"""
_KEEP = """
UPDATE ltq.kept SET expires = given.until
FROM unnest(%s::text[], %s::float8[]) AS given (own, until)
WHERE namespace = %s AND kind = given.own
"""
_OF_KIND = "namespace = %s AND kind = %s"
_READ = f"""
SELECT given.key, kept.value FROM unnest(%s::text[]) AS given (key)
CROSS JOIN LATERAL (
    SELECT value FROM ltq.kept AS kept WHERE {_OF_KIND} AND kept.key = given.key LIMIT 1) AS kept"""
"""Each by itself: a plan for all of them may compare each key with all slots of the task."""


class PostgresEndings:
    """How tasks of workflows ended: `Endings`. `end_held` writes them as well."""

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._own = namespace, "ending"
        self._new: dict[str, bytes] = {}

    def put(self, key: str, packed: bytes) -> None:
        """See `Endings`."""
        self._new[key] = packed
        self._step.touch(self)

    def flush(self) -> None:
        """See `Part`."""
        new, self._new = self._new, {}
        if new:
            self._step.write(_INSERT, *self._own, HELD, [*new], [*new.values()])

    def values(self, limit: int, most_bytes: int) -> list[bytes]:
        """See `Endings`."""
        rows = self._step.rows(_VALUES, *self._own, limit, most_bytes)
        return [bytes(value) for (value,) in rows]

    def remove(self, keys: Collection[str]) -> None:
        """See `Endings`."""
        delete = f"DELETE FROM ltq.kept WHERE {_OF_KIND} AND key = ANY(%s)"
        self._step.rows(delete, *self._own, [*keys])


class PostgresArrivals:
    """What has arrived at tasks that wait for others: `Arrivals`.

    Each task has a kind of its own. The key of a slot is its number, that of the count is empty.
    `end_held` writes them as well.
    """

    def __init__(self, step: Step, namespace: str) -> None:
        self._step = step
        self._namespace = namespace
        self._until: dict[str, float] = {}
        """When what has arrived at tasks expires, if that has changed."""

    def read(self, task_id: str, slots: Collection[int]) -> dict[int, bytes]:
        """See `Arrivals`."""
        rows = self._step.rows(_READ, [*map(str, slots)], *self._of(task_id))
        return {int(key): bytes(value) for key, value in rows}

    def count(self, task_id: str) -> ArrivalCount | None:
        """See `Arrivals`."""
        query = f"SELECT value FROM ltq.kept WHERE {_OF_KIND} AND key = ''"
        rows = self._step.rows(query, *self._of(task_id))
        return read_count(rows[0][0]) if rows else None

    def write(
        self, task_id: str, values: Mapping[int, bytes], count: ArrivalCount | None, expires: float
    ) -> None:
        """See `Arrivals`."""
        entries = {str(slot): value for slot, value in values.items()}
        if count is not None:
            entries[""] = b"%d %d %d" % (count.of, count.values, count.failed)
        given = [*entries], [*entries.values()]
        self._step.rows(_INSERT, *self._of(task_id), expires, *given)

    def remove(self, task_id: str, slots: Collection[int] | None = None) -> None:
        """See `Arrivals`."""
        if slots is None:
            self._until.pop(task_id, None)
            self._step.write(f"DELETE FROM ltq.kept WHERE {_OF_KIND}", *self._of(task_id))
            return
        delete = f"DELETE FROM ltq.kept WHERE {_OF_KIND} AND key = ANY(%s)"
        self._step.write(delete, *self._of(task_id), [*map(str, slots)])

    def keep_until(self, task_id: str, expires: float) -> None:
        """See `Arrivals`."""
        self._until[task_id] = expires
        self._step.touch(self)

    def flush(self) -> None:
        """See `Part`."""
        until, self._until = self._until, {}
        if until:
            kinds = [self._of(task_id)[1] for task_id in until]
            self._step.write(_KEEP, kinds, [*until.values()], self._namespace)

    def _of(self, task_id: str) -> tuple[str, str]:
        return slots_of(self._namespace, task_id)


def slots_of(namespace: str, task_id: str) -> tuple[str, str]:
    """The namespace and the kind of what has arrived at a task."""
    return namespace, f"slots {task_id}"


def read_count(value: bytes) -> ArrivalCount:
    """How many slots there are, and what is in them."""
    return ArrivalCount(*map(int, value.split()))
