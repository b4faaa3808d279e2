"""What a broker says about its queues, as metrics for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltq.logger import printable
from ltq.state import QueueStats, WorkerInfo, WorkerStatus

if TYPE_CHECKING:
    from prometheus_client import Metric

_STATES = ("pending", "delayed", "working", "dead")

_BY_QUEUE: tuple[tuple[str, str, Callable[[QueueStats], float]], ...] = (
    (
        "ltq_queue_oldest_seconds",
        "How long the oldest due task of a queue has waited; 0 if none waits.",
        lambda stats: stats.oldest or 0.0,
    ),
    (
        "ltq_queue_ended_per_second",
        "Tasks of a queue that ended in a worker per second, averaged over the last minute.",
        lambda stats: stats.rate,
    ),
    (
        "ltq_queue_served",
        "Whether a live worker serves the queue.",
        lambda stats: stats.is_served,
    ),
    (
        "ltq_queue_paused",
        "Whether the queue is paused, so that nothing of it is claimed.",
        lambda stats: stats.paused,
    ),
    (
        "ltq_queue_unserved_tasks",
        "Pending tasks of a queue that no live worker knows.",
        lambda stats: sum(stats.unserved.values()),
    ),
    (
        "ltq_queue_overdue_tasks",
        "Working tasks of a queue whose lease ended a minute ago or earlier.",
        lambda stats: stats.overdue,
    ),
)
"""Metrics with one value for each queue: name, text, and the value."""

Values = Iterable[tuple[Mapping[str, str], float]]
"""Labels, and the value with these labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a broker said at one moment."""

    seconds: float
    """How long it took."""

    queues: tuple[QueueStats, ...] | None = None
    """None if it did not answer."""

    workers: tuple[WorkerInfo, ...] = ()

    why: str = ""
    """Why it did not answer."""


def page(reading: Reading) -> bytes:
    """The metrics as text. Without an answer of the broker there are only those about that."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Metrics(reading))
    comment = f"# {printable(reading.why)}\n" if reading.why else ""
    return comment.encode() + generate_latest(registry)


class _Metrics:
    """The metrics of a reading, as a registry collects them."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def describe(self) -> "Iterable[Metric]":
        """None: nothing is checked before it is collected."""
        return ()

    def collect(self) -> "Iterable[Metric]":
        """All of them."""
        reading = self._reading
        yield _gauge("ltq_up", "Whether the broker answered.", [({}, reading.queues is not None)])
        yield _gauge("ltq_scrape_seconds", "How long it took.", [({}, reading.seconds)])
        if reading.queues is not None:
            yield _of_workers(reading.workers)
            yield from _of_queues(reading.queues)


def _of_workers(workers: Iterable[WorkerInfo]) -> "Metric":
    """A consumer without a worker, which holds tasks but never announced itself, is no worker."""
    counts = Counter(one.status for one in workers if one.seen is not None)
    return _gauge(
        "ltq_workers",
        "Workers, by whether their broker hears of them.",
        [({"status": status.value}, counts[status]) for status in WorkerStatus],
    )


def _of_queues(queues: Iterable[QueueStats]) -> "Iterable[Metric]":
    found = [({"queue": stats.queue}, stats) for stats in queues]
    yield _gauge(
        "ltq_queue_tasks",
        "Tasks of a queue, by state.",
        [
            ({**queue, "state": state}, getattr(stats, state))
            for queue, stats in found
            for state in _STATES
        ],
    )
    yield _gauge(
        "ltq_queue_pending_tasks",
        "Pending tasks of a queue, by priority.",
        [
            ({**queue, "priority": priority}, count)
            for queue, stats in found
            for priority, count in stats.by_priority.items()
        ],
    )
    for name, text, value in _BY_QUEUE:
        yield _gauge(name, text, [(queue, value(stats)) for queue, stats in found])


def _gauge(name: str, text: str, values: Values) -> "Metric":
    from prometheus_client import Metric

    gauge = Metric(name, text, "gauge")
    for labels, value in values:
        gauge.add_sample(name, dict(labels), float(value))
    return gauge
