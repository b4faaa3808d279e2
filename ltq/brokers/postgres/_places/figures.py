"""What a namespace counts, by queue and time. Counts are added up, and written together."""

from collections import Counter
from collections.abc import Collection, Mapping

from ltq.brokers.postgres._places.step import Step

_COUNT = """
INSERT INTO ltq.counted (queue, minute, step, ended, figures) VALUES (%s, %s, %s, %s, %s::jsonb)"""

_READ = """
SELECT minute, name, sum(many)::bigint FROM (
    SELECT minute, name, many FROM ltq.figures WHERE queue = %s AND minute BETWEEN %s AND %s
    UNION ALL
    SELECT minute, key, value::bigint FROM ltq.counted CROSS JOIN LATERAL jsonb_each_text(figures)
    WHERE queue = %s AND minute BETWEEN %s AND %s
) AS found GROUP BY minute, name"""

_TOTALS = """
SELECT queue, sum(many)::bigint FROM (
    SELECT queue, many FROM ltq.ends WHERE queue = ANY(%s) AND step BETWEEN %s AND %s
    UNION ALL
    SELECT queue, ended FROM ltq.counted WHERE queue = ANY(%s) AND step BETWEEN %s AND %s
) AS found GROUP BY queue"""


class PostgresEndCounts:
    """How many tasks ended, by queue and step of time: `EndCounts`."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._added: Counter[tuple[str, int]] = Counter()

    def add(self, queue: str, step: int, many: int, *, oldest: int) -> None:
        """See `EndCounts`."""
        self._added[queue, step] += many
        self._step.touch(self)

    def totals(self, queues: Collection[str], first: int, last: int) -> dict[str, int]:
        """See `EndCounts`."""
        wanted = list(queues)
        return dict(self._step.rows(_TOTALS, *(wanted, first, last) * 2))

    def flush(self) -> None:
        """See `Part`."""
        added, self._added = self._added, Counter()
        for (queue, step), many in added.items():
            self._step.write(_COUNT, queue, 0, step, many, None)


class PostgresHistory:
    """What was counted in each minute of a queue: `HistoryFigures`."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._added: dict[tuple[str, int], Counter[str]] = {}

    def add(self, queue: str, minute: int, figures: Mapping[str, int], *, oldest: int) -> None:
        """See `HistoryFigures`."""
        added = self._added.setdefault((queue, minute), Counter())
        for name, many in figures.items():
            added[name] += many
        self._step.touch(self)

    def read(self, queue: str, first: int, last: int) -> dict[int, dict[str, int]]:
        """See `HistoryFigures`."""
        found: dict[int, dict[str, int]] = {}
        for minute, name, many in self._step.rows(_READ, *(queue, first, last) * 2):
            found.setdefault(minute, {})[name] = many
        return found

    def flush(self) -> None:
        """See `Part`."""
        added, self._added = self._added, {}
        for (queue, minute), figures in added.items():
            self._step.write(_COUNT, queue, minute, 0, 0, _json(figures))


def _json(figures: Mapping[str, int]) -> str:
    return "{" + ", ".join(f'"{name}": {many}' for name, many in figures.items()) + "}"
