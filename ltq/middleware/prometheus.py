"""Metrics for Prometheus: sends, runs, and the tasks in queues."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ltq.broker import Broker
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.middleware.base import ending_of
from ltq.middleware.observer import Observer
from ltq.options import Seconds, seconds
from ltq.task import Task

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

logger: logging.Logger = logging.getLogger("ltq.worker")

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
"""Upper bounds of the buckets, in seconds. Tasks take and wait longer than web requests."""

_STATES = ("pending", "delayed", "working", "dead")


class HasQueues(Protocol):
    """What `watch_queues` needs of a worker."""

    @property
    def broker(self) -> Broker:
        """The broker of its queues."""
        ...

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """Its tasks, by name."""
        ...


class Prometheus(Observer):
    """Counts sends and runs, and times them; needs the extra `ltq[prometheus]`.

    - `ltq_sends_total{task}`: messages handed to the broker, whether or not it took them
    - `ltq_runs_total{task,outcome}`: runs that ended `completed`, `failed`, `retried`,
      `rejected` or `cancelled`
    - `ltq_run_duration_seconds{task}`: a histogram of how long they took
    - `ltq_runs_in_progress{task}`
    - `ltq_wait_seconds{task}`: a histogram of the time from the send to the first try, by the
      broker's clock, delays included
    - `ltq_queue_tasks{queue,state}`: how many tasks are `pending`, `delayed`, `working` and `dead`,
      while `watch_queues` runs

    Labels are names of tasks and queues, never ids. The metrics are in `registry`, or in the
    default one of prometheus-client; middleware with the same registry shares them. `ltq run
    --metrics-port` serves them and watches the queues.

    It is an `Observer`: wherever it is registered, each run is counted once, as it ended in the
    end. A message of a task that the worker does not know is not counted. Raises
    `ConfigurationError` if prometheus-client is missing.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        try:
            from prometheus_client import REGISTRY
        except ImportError:
            raise ConfigurationError(
                "the Prometheus middleware needs prometheus-client: pip install 'ltq[prometheus]'"
            ) from None
        self.registry: CollectorRegistry = REGISTRY if registry is None else registry
        """The registry of the metrics."""
        self._metrics = _metrics_in(self.registry)

    @property
    def reports_to(self) -> object:
        """The registry."""
        return self.registry

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        """Count the send."""
        self._metrics.sends.labels(task.name).inc()

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Time the run, and count how it ended."""
        metrics, name = self._metrics, task.name
        sent, claimed = message.enqueue_time, message.dequeue_time
        if message.tries == 0 and sent is not None and claimed is not None:
            metrics.waits.labels(name).observe(max(0.0, claimed - sent))
        running = metrics.running.labels(name)
        running.inc()
        error: BaseException | None = None
        begun = time.perf_counter()
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            metrics.durations.labels(name).observe(time.perf_counter() - begun)
            metrics.runs.labels(name, ending_of(error).value).inc()
            running.dec()

    @asynccontextmanager
    async def watch_queues(self, worker: HasQueues, *, every: Seconds = 5.0) -> AsyncIterator[None]:
        """Keep `ltq_queue_tasks` up to date for a worker's queues, while the block runs.

            Worker("shop", middlewares=[metrics, *default_stack()], lifespan=metrics.watch_queues)

        It calls the broker now, and again `every` seconds (or a timedelta) after each answer, so a
        scrape never waits for the broker. While the broker does not answer, there are no values.
        """
        pause = seconds("every", every)
        queues: set[str] = set()
        watching = asyncio.create_task(self._watch(worker, queues, pause))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._forget(queues)

    async def _watch(self, worker: HasQueues, queues: set[str], pause: float) -> None:
        while True:
            queues.update(task.queue for task in worker.tasks.values())
            try:
                await self._read(worker.broker, sorted(queues))
            except Exception as error:  # whatever it is, a later call may succeed
                logger.debug("the tasks in the queues were not counted: %s", error)
                self._forget(queues)
            await asyncio.sleep(pause)

    async def _read(self, broker: Broker, queues: list[str]) -> None:
        for stats in await broker.stats(queues):
            for state in _STATES:
                self._metrics.queues.labels(stats.queue, state).set(getattr(stats, state))

    def _forget(self, queues: Iterable[str]) -> None:
        """Remove the counts: no count is better than an old one."""
        for queue in queues:
            for state in _STATES:
                with suppress(KeyError):
                    self._metrics.queues.remove(queue, state)


class _Metrics:
    """The metrics in one registry."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        from prometheus_client import Counter, Gauge, Histogram

        task = ("task",)
        self.sends = Counter("ltq_sends", "Messages handed to the broker.", task, registry=registry)
        self.runs = Counter(
            "ltq_runs", "Runs that have ended, by how.", (*task, "outcome"), registry=registry
        )
        self.durations = Histogram(
            "ltq_run_duration_seconds",
            "How long runs took.",
            task,
            registry=registry,
            buckets=_DURATIONS,
        )
        self.running = Gauge("ltq_runs_in_progress", "Runs under way.", task, registry=registry)
        self.waits = Histogram(
            "ltq_wait_seconds",
            "Time from the send to the first try.",
            task,
            registry=registry,
            buckets=_WAITS,
        )
        self.queues = Gauge(
            "ltq_queue_tasks", "Tasks of a queue, by state.", ("queue", "state"), registry=registry
        )


_known: "dict[CollectorRegistry, _Metrics]" = {}
"""By registry, which accepts each name only once. A registry lives as long as the process."""
_lock = threading.Lock()


def _metrics_in(registry: "CollectorRegistry") -> _Metrics:
    with _lock:
        metrics = _known.get(registry)
        if metrics is None:
            metrics = _known[registry] = _Metrics(registry)
        return metrics
