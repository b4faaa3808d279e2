"""Metrics, by the real client and registries of their own."""

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from ltq.app import App
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError, ConfigurationError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware import MaxTries, Prometheus, default_stack
from ltq.state import QueueStats
from ltq.worker import Worker
from tests.eventually import eventually


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Prometheus:
    return Prometheus(registry)


def make_worker(url: str, metrics: Prometheus, **options: Any) -> Worker:
    return Worker("shop", broker_url=url, middlewares=[metrics, MaxTries()], **options)


class TestRuns:
    async def test_runs_are_counted_by_how_they_end(
        self, url: str, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker = make_worker(url, metrics)

        @worker.task
        async def good() -> None: ...

        @worker.task
        async def bad() -> None:
            raise ValueError

        @worker.task
        async def unwanted() -> None:
            raise RejectError("a duplicate")

        @worker.task(max_tries=3, backoff=lambda _: 0.0)
        async def again() -> None:
            raise RetryError

        for task, times in ((good, 3), (bad, 1), (unwanted, 1), (again, 1)):
            await task.send_many([task.message() for _ in range(times)])
        await worker.run(burst=True)
        await worker.aclose()
        assert ended(registry) == {
            ("shop:good", "completed"): 3,
            ("shop:bad", "failed"): 1,
            ("shop:unwanted", "rejected"): 1,
            ("shop:again", "retried"): 2,
            ("shop:again", "failed"): 1,
        }
        assert value(registry, "ltq_sends_total", task="shop:good") == 3
        assert value(registry, "ltq_sends_total", task="shop:again") == 1
        assert value(registry, "ltq_run_duration_seconds_count", task="shop:again") == 3
        assert value(registry, "ltq_wait_seconds_count", task="shop:again") == 1
        assert value(registry, "ltq_runs_in_progress", task="shop:again") == 0

    async def test_a_run_under_way_is_in_progress_until_it_is_cancelled(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker, begun = make_worker("memory://prometheus-cancel", metrics), asyncio.Event()

        @worker.task
        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        async with worker:
            handle = await hang.send()
            await begun.wait()
            assert value(registry, "ltq_runs_in_progress", task="shop:hang") == 1
            await handle.cancel()
            await eventually(lambda: ended(registry) == {("shop:hang", "cancelled"): 1})
        assert value(registry, "ltq_runs_in_progress", task="shop:hang") == 0

    @pytest.mark.parametrize(
        ("sent", "claimed", "seconds"), [(100.0, 107.5, 7.5), (100.0, 99.0, 0.0)]
    )
    async def test_the_wait_is_from_the_send_to_the_first_claim(
        self,
        metrics: Prometheus,
        registry: CollectorRegistry,
        sent: float,
        claimed: float,
        seconds: float,
    ) -> None:
        worker = make_worker("memory://prometheus-wait", metrics)

        @worker.task
        async def pay() -> None: ...

        for tries in (0, 1):
            message: Message[Any] = Message(
                (), {}, pay.name, tries=tries, enqueue_time=sent, dequeue_time=claimed
            )
            async with metrics(message, pay):
                pass
        assert value(registry, "ltq_wait_seconds_count", task=pay.name) == 1
        assert value(registry, "ltq_wait_seconds_sum", task=pay.name) == seconds

    async def test_the_wait_of_a_task_that_is_put_back_counts_once(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker, begun = make_worker("memory://prometheus-back", metrics), asyncio.Event()
        worker.shutdown_timeout = 0

        @worker.task
        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        await hang.send()
        for _ in range(3):
            begun.clear()
            async with worker:
                await begun.wait()
        assert value(registry, "ltq_runs_total", task=hang.name, outcome="cancelled") == 3
        assert value(registry, "ltq_wait_seconds_count", task=hang.name) == 1

    async def test_labels_are_names_of_tasks_and_queues_only(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker = make_worker("memory://prometheus-labels", metrics)

        @worker.task
        async def pay(order: int) -> None: ...

        handles = await pay.send_many([pay.message(order) for order in range(50)])
        await worker.run(burst=True)
        text = generate_latest(registry).decode()
        assert not any(handle.id in text for handle in handles)
        labels = {
            name: {
                sample.labels[name]
                for family in registry.collect()
                for sample in family.samples
                if name in sample.labels
            }
            for name in ("task", "outcome", "queue", "state")
        }
        assert labels == {
            "task": {pay.name},
            "outcome": {"completed"},
            "queue": set(),
            "state": set(),
        }


class TestQueues:
    async def test_their_depths_are_those_of_the_broker(
        self, url: str, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker = make_worker(url, metrics)

        @worker.task
        async def pay() -> None:
            raise RejectError

        await pay.send()
        await worker.run(burst=True)
        await pay.with_options(delay=60).send()
        await pay.send_many([pay.message() for _ in range(2)])
        async with metrics.watch_queues(worker, every=0.01):
            await eventually(lambda: depth(registry, pay.queue) == (2, 1, 0, 1))
            await pay.send()
            await eventually(lambda: depth(registry, pay.queue) == (3, 1, 0, 1))
        assert depth(registry, pay.queue) == (None,) * 4
        await worker.aclose()

    async def test_in_a_shared_directory_there_is_no_warning_and_no_old_count(
        self, metrics: Prometheus, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = make_worker("memory://prometheus-shared", metrics)

        @worker.task
        async def pay() -> None: ...

        await pay.send()
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
        labels = {"queue": pay.queue, "state": "pending"}
        async with metrics.watch_queues(worker, every=0.01):
            await eventually(lambda: value(registry, "ltq_queue_tasks", **labels) == 1)
        assert math.isnan(value(registry, "ltq_queue_tasks", **labels) or 0)

    async def test_a_worker_watches_them_while_it_runs(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        worker = make_worker("memory://prometheus-lifespan", metrics, lifespan=metrics.watch_queues)

        @worker.task
        async def pay() -> None: ...

        async with worker:
            await eventually(lambda: depth(registry, pay.queue) == (0, 0, 0, 0))
        assert depth(registry, pay.queue) == (None,) * 4

    async def test_what_is_not_known_is_not_shown(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        broker = Moody("memory://prometheus-moody")
        worker = Worker("shop", broker=broker, middlewares=[metrics])

        @worker.task
        async def pay() -> None: ...

        async with metrics.watch_queues(worker, every=0.01):
            await eventually(lambda: depth(registry, pay.queue) == (0, 0, 0, 0))
            broker.is_away = True
            await eventually(lambda: depth(registry, pay.queue) == (None,) * 4)
            broker.is_away = False
            await eventually(lambda: depth(registry, pay.queue) == (0, 0, 0, 0))

    async def test_those_of_one_name_in_several_brokers_are_added_up(
        self, metrics: Prometheus, registry: CollectorRegistry
    ) -> None:
        workers = [make_worker(f"memory://prometheus-{which}", metrics) for which in "ab"]

        async def pay() -> None: ...

        for worker, count in zip(workers, (1, 2), strict=True):
            task = worker.task(pay)
            await task.send_many([task.message() for _ in range(count)])
        async with metrics.watch_queues(workers[0], every=0.01):
            async with metrics.watch_queues(workers[1], every=0.01):
                await eventually(lambda: depth(registry, "shop:pay") == (3, 0, 0, 0))
            assert depth(registry, "shop:pay") == (1, 0, 0, 0)
        assert depth(registry, "shop:pay") == (None,) * 4

    @pytest.mark.parametrize("every", [0, -1, float("nan"), "5"])
    async def test_a_wrong_pause_is_told(self, metrics: Prometheus, every: Any) -> None:
        worker = make_worker("memory://prometheus-pause", metrics)
        with pytest.raises(ConfigurationError, match="every"):
            async with metrics.watch_queues(worker, every=every):
                pass


class Moody(MemoryBroker):
    """Answers, or does not."""

    is_away = False

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        if self.is_away:
            raise BrokerError("away")
        return await super().stats(queues)


class TestRegistry:
    async def test_an_apps_workers_count_into_one(self) -> None:
        registry = CollectorRegistry()
        app = App(middlewares=[Prometheus(registry)])
        handles = []
        for name in ("a", "b"):
            worker = Worker(name, broker_url=f"memory://prometheus-app-{name}")
            app.register_worker(worker)

            @worker.task
            async def pay() -> None: ...

            handles.append(await pay.send())
        await app.run(burst=True)
        assert ended(registry) == {("a:pay", "completed"): 1, ("b:pay", "completed"): 1}

    def test_several_may_share_one(self, registry: CollectorRegistry) -> None:
        first, second = Prometheus(registry), Prometheus(registry)
        assert first.registry is second.registry is registry

    def test_the_clients_own_is_the_default(self) -> None:
        assert Prometheus().registry is Prometheus().registry is REGISTRY
        assert [type(one) for one in default_stack()].count(Prometheus) == 0


class TestPackage:
    def test_without_it_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        with pytest.raises(ConfigurationError) as caught:
            Prometheus()
        assert str(caught.value) == (
            "the Prometheus middleware needs prometheus-client: pip install 'ltq[prometheus]'"
        )


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def ended(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """The runs that have ended: by task and outcome."""
    return {
        (sample.labels["task"], sample.labels["outcome"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "ltq_runs_total"
    }


def depth(registry: CollectorRegistry, queue: str) -> tuple[float | None, ...]:
    """Pending, delayed, working, dead."""
    return tuple(
        value(registry, "ltq_queue_tasks", queue=queue, state=state)
        for state in ("pending", "delayed", "working", "dead")
    )
