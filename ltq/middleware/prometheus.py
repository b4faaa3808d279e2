"""Metrics for Prometheus: sends, runs, and the tasks in queues."""

import asyncio
import logging
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from ltq._display.values import short_repr
from ltq._sender.sent import SentCallback
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

_Counted = tuple[str, str]
"""A queue whose tasks were counted: the URL of its broker, and its name."""


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
    - `ltq_wait_seconds{task}`: a histogram of the time from the send until the task was claimed for
      the first time, by the broker's clock, delays included
    - `ltq_queue_tasks{queue,state}`: how many tasks are `pending`, `delayed`, `working` and `dead`,
      while `watch_queues` runs; queues of one name in several brokers are added up

    Labels are names of tasks and queues, never ids. The metrics are in `registry`, or in the
    default one of prometheus-client; middleware with the same registry shares them. `ltq run
    --metrics-port` serves them and watches the queues.

    It is an `Observer`: wherever it is registered, each run is counted once, as it ended in the
    end. A message of a task that the worker does not know is not counted. Raises
    `ConfigurationError` for what is no registry, or if prometheus-client is missing.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        try:
            from prometheus_client import REGISTRY, CollectorRegistry
        except ImportError:
            raise ConfigurationError(
                "the Prometheus middleware needs prometheus-client: pip install 'ltq[prometheus]'"
            ) from None
        if not (registry is None or isinstance(registry, CollectorRegistry)):
            raise ConfigurationError(
                f"registry={short_repr(registry)} is not allowed: a CollectorRegistry"
            )
        self.registry: CollectorRegistry = REGISTRY if registry is None else registry
        """The registry of the metrics."""
        self._metrics = _metrics_in(self.registry)

    @property
    def reports_to(self) -> object:
        """The registry."""
        return self.registry

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> SentCallback:
        """Count the send, when the broker has taken the message."""

        def count(enqueued: bool | None) -> None:
            if enqueued:
                self._metrics.sends.labels(task.name).inc()

        return count

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Time the run, and count how it ended."""
        metrics, name = self._metrics, task.name
        sent, claimed = message.enqueue_time, message.dequeue_time
        is_first = message.tries == 0 and message.dequeue_count <= 1
        if is_first and sent is not None and claimed is not None:
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
        counted: set[_Counted] = set()
        watching = asyncio.create_task(self._watch(worker, counted, pause))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._forget(counted)

    async def _watch(self, worker: HasQueues, counted: set[_Counted], pause: float) -> None:
        queues = set[str]()
        while True:
            queues.update(task.queue for task in worker.tasks.values())
            try:
                await self._read(worker.broker, sorted(queues), counted)
            except Exception as error:  # whatever it is, a later call may succeed
                logger.debug("the tasks in the queues were not counted: %s", error)
                self._forget(counted)
            await asyncio.sleep(pause)

    async def _read(self, broker: Broker, queues: list[str], counted: set[_Counted]) -> None:
        for stats in await broker.stats(queues):
            counted.add((broker.url, stats.queue))
            for state in _STATES:
                tasks = self._metrics.tasks.setdefault((stats.queue, state), {})
                tasks[broker.url] = getattr(stats, state)
                self._metrics.queues.labels(stats.queue, state).set(sum(list(tasks.values())))

    def _forget(self, counted: Iterable[_Counted]) -> None:
        """Remove the counts: no count is better than an old one.

        Several processes that share a directory cannot remove them: NaN means none there.
        """
        is_shared = any(name.upper() == "PROMETHEUS_MULTIPROC_DIR" for name in os.environ)
        for url, queue in counted:
            for state in _STATES:
                tasks = self._metrics.tasks.get((queue, state), {})
                tasks.pop(url, None)
                if tasks or is_shared:
                    left = sum(list(tasks.values())) if tasks else math.nan
                    self._metrics.queues.labels(queue, state).set(left)
                    continue
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
            "Time from the send to the first claim.",
            task,
            registry=registry,
            buckets=_WAITS,
        )
        self.tasks: dict[tuple[str, str], dict[str, int]] = {}
        """By queue and state, how many tasks each broker has, by its URL."""
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
