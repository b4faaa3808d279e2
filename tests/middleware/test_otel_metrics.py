"""OpenTelemetry's metrics, by the real SDK, and by the names of its conventions."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.metrics import Meter, NoOpMeterProvider, set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv._incubating.metrics import messaging_metrics
from opentelemetry.trace import NoOpTracerProvider

from ltq.brokers.memory import MemoryBroker
from ltq.context import current
from ltq.errors import BrokerError, ConfigurationError, QueueFullError, RejectError
from ltq.message import Envelope, Published
from ltq.middleware import OpenTelemetry, default_stack
from ltq.names import new_id
from ltq.worker import Worker
from tests.eventually import eventually

SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
OPERATION = "messaging.client.operation.duration"
PROCESS = "messaging.process.duration"

Points = dict[tuple[tuple[str, Any], ...], float]


class Measured:
    """A meter provider of its own, and what it measured."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def all(self) -> dict[str, Any]:
        """The metrics, by name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def counts(self, name: str) -> Points:
        """How much was counted, or how often something was timed, by what tells them apart."""
        found: Points = {}
        metric = self.all().get(name)
        for point in () if metric is None else metric.data.data_points:
            common = ("messaging.system", "messaging.destination.name", "ltq.task")
            own = tuple(sorted(pair for pair in point.attributes.items() if pair[0] not in common))
            if isinstance(point, HistogramDataPoint):
                found[own] = point.count
            else:
                assert isinstance(point, NumberDataPoint)
                found[own] = point.value
        return found


@pytest.fixture
def measured() -> Iterator[Measured]:
    given = Measured()
    yield given
    given.provider.shutdown()


def observer(measured: Measured) -> OpenTelemetry:
    return OpenTelemetry(NoOpTracerProvider(), meter_provider=measured.provider)


def send_of(error: str | None = None) -> tuple[tuple[str, Any], ...]:
    more = [] if error is None else [("error.type", error)]
    return (*more, ("messaging.operation.name", "send"))


def timed_send_of(error: str | None = None) -> tuple[tuple[str, Any], ...]:
    return (*send_of(error), ("messaging.operation.type", "send"))


def run_of(outcome: str, error: str | None = None) -> tuple[tuple[str, Any], ...]:
    more = [] if error is None else [("error.type", error)]
    return (*more, ("ltq.outcome", outcome), ("messaging.operation.name", "process"))


async def test_sends_and_runs_are_counted_and_timed(url: str, measured: Measured) -> None:
    worker = Worker("shop", broker_url=url, middlewares=[*default_stack(), observer(measured)])

    @worker.task(queue="shop:orders", max_tries=2, backoff=lambda _: 0.0)
    async def pay(order: int) -> None:
        if order == 2:
            raise RejectError("unknown")
        if order == 3 or (order == 4 and current().attempt == 1):
            raise OSError("away")

    await pay.send(1)
    await pay.send_many([pay.message(order) for order in (2, 3, 4)])
    await worker.run(burst=True)
    await worker.aclose()
    assert measured.counts(SENT) == {send_of(): 4}
    assert measured.counts(OPERATION) == {timed_send_of(): 4}
    runs = {
        run_of("completed"): 2,
        run_of("rejected"): 1,
        run_of("retried", "builtins.OSError"): 2,
        run_of("failed", "builtins.OSError"): 1,
    }
    assert measured.counts(CONSUMED) == runs
    assert measured.counts(PROCESS) == runs


async def test_a_run_is_timed_in_seconds(measured: Measured) -> None:
    worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

    @worker.task(timeout=0.05)
    async def hang() -> None:
        await asyncio.Event().wait()

    await hang.send()
    await worker.run(burst=True)
    assert measured.counts(PROCESS) == {run_of("failed", "builtins.TimeoutError"): 1}
    (point,) = measured.all()[PROCESS].data.data_points
    assert 0.05 <= point.sum < 10


async def test_a_cancelled_run_is_no_error(measured: Measured) -> None:
    worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])
    begun = asyncio.Event()

    @worker.task
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with worker:
        handle = await hang.send()
        await begun.wait()
        await handle.cancel()
        await eventually(lambda: measured.counts(CONSUMED) == {run_of("cancelled"): 1})


async def test_their_attributes_are_names_only(measured: Measured) -> None:
    worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

    @worker.task(queue="shop:orders")
    async def pay(order: int) -> None: ...

    await pay.send_many([pay.message(order) for order in range(50)])
    await worker.run(burst=True)
    common = {
        "messaging.system": "ltq",
        "messaging.destination.name": "shop:orders",
        "ltq.task": "shop:pay",
    }
    for metric in measured.all().values():
        (point,) = metric.data.data_points
        assert dict(point.attributes).items() >= common.items()
        assert len(point.attributes) <= 5


async def test_names_units_and_buckets_are_those_of_the_conventions(measured: Measured) -> None:
    worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

    @worker.task
    async def pay() -> None: ...

    await pay.send()
    await worker.run(burst=True)
    convention = Measured()
    meter = convention.provider.get_meter("conventions")
    metrics: Any = messaging_metrics
    metrics.create_messaging_client_sent_messages(meter).add(1)
    metrics.create_messaging_client_consumed_messages(meter).add(1)
    metrics.create_messaging_client_operation_duration(meter).record(1)
    metrics.create_messaging_process_duration(meter).record(1)
    ours, theirs = measured.all(), convention.all()
    convention.provider.shutdown()
    assert ours.keys() == theirs.keys()
    for name, metric in ours.items():
        assert (metric.unit, metric.description) == (theirs[name].unit, theirs[name].description)
        for key in {**metric.data.data_points[0].attributes}:
            assert not key.startswith("messaging.") or key in vars(messaging_attributes).values()
    buckets = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    for name in (OPERATION, PROCESS):
        assert ours[name].data.data_points[0].explicit_bounds == buckets


class Absent(MemoryBroker):
    """Never answers a send."""

    async def publish(self, envelopes: Any) -> list[Published]:
        raise BrokerError("away")


class TestSends:
    async def test_one_without_an_answer_is_an_error(self, measured: Measured) -> None:
        broker = Absent("memory://otel-absent")
        worker = Worker("shop", broker=broker, middlewares=[observer(measured)])

        @worker.task
        async def pay() -> None: ...

        with pytest.raises(BrokerError):
            await pay.send()
        assert measured.counts(SENT) == {send_of("no_answer"): 1}
        assert measured.counts(OPERATION) == {timed_send_of("no_answer"): 1}

    async def test_what_was_not_enqueued_is_not_counted(self, url: str, measured: Measured) -> None:
        worker = Worker("shop", broker_url=url, middlewares=[observer(measured)])

        @worker.task(max_pending=1)
        async def pay() -> None: ...

        once = pay.with_options(id="once")
        await once.send()
        await once.send()
        with pytest.raises(QueueFullError):
            await pay.send()
        await worker.aclose()
        assert measured.counts(SENT) == {send_of(): 1}
        assert measured.counts(OPERATION) == {timed_send_of(): 1}

    async def test_one_with_a_context_of_its_own_is_counted(self, measured: Measured) -> None:
        worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

        @worker.task
        async def pay() -> None: ...

        message = pay.message()
        message.ctx["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await pay.send_many([message])
        assert measured.counts(SENT) == {send_of(): 1}

    async def test_what_a_worker_does_not_know_is_no_run(self, measured: Measured) -> None:
        worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

        @worker.task
        async def pay() -> None: ...

        await worker.broker.publish(
            [Envelope(id="a1", queue=pay.queue, task_name="shop:other", body=b"[]")]
        )
        await worker.run(burst=True)
        assert measured.counts(CONSUMED) == {}


class TestProvider:
    async def test_the_global_one_is_the_default(
        self, measured: Measured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", None)
        once: Any = type("Once", (), {"do_once": lambda self, act: act() or True})()
        monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER_SET_ONCE", once)
        set_meter_provider(measured.provider)
        own = OpenTelemetry(NoOpTracerProvider())
        worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[own])

        @worker.task
        async def pay() -> None: ...

        await pay.send()
        assert measured.counts(SENT) == {send_of(): 1}

    async def test_one_that_does_nothing_switches_them_off(self, measured: Measured) -> None:
        off = OpenTelemetry(NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
        worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[off])

        @worker.task
        async def pay() -> None: ...

        await pay.send()
        await worker.run(burst=True)
        assert measured.all() == {}

    @pytest.mark.parametrize(
        "wrong", [5, "metrics", NoOpTracerProvider()], ids=["5", "text", "tracer"]
    )
    def test_a_wrong_one_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"meter_provider=.* is not allowed: a Meter"):
            OpenTelemetry(meter_provider=wrong)

    async def test_an_older_api_has_no_say_in_the_buckets(
        self, measured: Measured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        meter = measured.provider.get_meter("ltq")
        create: Any = type(meter).create_histogram

        def older(self: Meter, name: str, unit: str = "", description: str = "") -> Any:
            return create(self, name, unit, description)

        monkeypatch.setattr(type(meter), "create_histogram", older)
        worker = Worker("shop", broker_url=f"memory://{new_id()}", middlewares=[observer(measured)])

        @worker.task
        async def pay() -> None: ...

        await pay.send()
        await worker.run(burst=True)
        assert measured.counts(PROCESS) == {run_of("completed"): 1}
