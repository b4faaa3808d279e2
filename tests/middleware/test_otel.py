"""Traces, by the real SDK: what a producer and a worker would export."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from ltq.context import current
from ltq.errors import ConfigurationError, ExhaustedError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware import MaxTries, Middleware, OpenTelemetry
from ltq.scheduler import Scheduler
from ltq.task import Task
from ltq.worker import Worker
from tests.eventually import eventually


class Traced:
    """A process as it were: a tracer provider of its own, and what it exports."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        """The only one with a name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def producer() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.provider.shutdown()


@pytest.fixture
def consumer() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.provider.shutdown()


def make_worker(url: str, *middlewares: Middleware) -> tuple[Worker, Task[..., Any]]:
    """A worker as the producer has it: another one runs what is sent through it."""
    worker = Worker("shop", broker_url=url, middlewares=middlewares)

    @worker.task(queue="shop:orders")
    async def pay(order: int) -> None: ...

    return worker, pay


async def send(url: str, traced: Traced, order: int = 1) -> str:
    """Send from one place."""
    worker, pay = make_worker(url, OpenTelemetry(traced.provider))
    try:
        return (await pay.send(order)).id
    finally:
        await worker.aclose()


async def run(url: str, *middlewares: Middleware) -> None:
    """Run in another."""
    worker, _ = make_worker(url, *middlewares)
    await worker.run(burst=True)
    await worker.aclose()


def context_of(span: ReadableSpan) -> SpanContext:
    given: SpanContext | None = span.context
    assert given is not None
    return given


def same(one: SpanContext | None, other: SpanContext | None) -> bool:
    """Whether two contexts are of one span: one that travelled is remote, so they are not equal."""
    assert one is not None
    assert other is not None
    return (one.trace_id, one.span_id) == (other.trace_id, other.span_id)


class TestLink:
    async def test_a_run_is_linked_to_its_send_and_is_its_child(
        self, url: str, producer: Traced, consumer: Traced
    ) -> None:
        task_id = await send(url, producer)
        await run(url, OpenTelemetry(consumer.provider))
        (sent,), (ran,) = producer.spans, consumer.spans
        assert (sent.name, sent.kind) == ("create shop:orders", SpanKind.PRODUCER)
        assert (ran.name, ran.kind) == ("process shop:orders", SpanKind.CONSUMER)
        assert [same(link.context, sent.context) for link in ran.links] == [True]
        assert same(ran.parent, sent.context)
        common = {
            "messaging.system": "ltq",
            "messaging.destination.name": "shop:orders",
            "messaging.message.id": task_id,
            "ltq.task": "shop:pay",
        }
        assert sent.attributes == {
            **common,
            "messaging.operation.name": "create",
            "messaging.operation.type": "create",
        }
        assert ran.attributes == {
            **common,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "ltq.attempt": 1,
            "ltq.outcome": "completed",
        }
        assert ran.status.status_code is StatusCode.UNSET

    async def test_without_a_parent_a_run_has_a_trace_of_its_own(
        self, producer: Traced, consumer: Traced
    ) -> None:
        await send("memory://otel-own", producer)
        await run("memory://otel-own", OpenTelemetry(consumer.provider, parent=False))
        (sent,), (ran,) = producer.spans, consumer.spans
        assert ran.parent is None
        assert context_of(ran).trace_id != context_of(sent).trace_id
        assert [same(link.context, sent.context) for link in ran.links] == [True]

    async def test_a_worker_inside_a_span_has_that_for_a_parent(
        self, producer: Traced, consumer: Traced
    ) -> None:
        await send("memory://otel-inside", producer)
        with consumer.tracer.start_as_current_span("around"):
            await run("memory://otel-inside", OpenTelemetry(consumer.provider))
        ran, around = consumer.one("process shop:orders"), consumer.one("around")
        assert same(ran.parent, around.context)
        assert [same(link.context, producer.spans[0].context) for link in ran.links] == [True]

    async def test_a_send_is_the_child_of_what_sends(
        self, producer: Traced, consumer: Traced
    ) -> None:
        with producer.tracer.start_as_current_span("request"):
            await send("memory://otel-child", producer)
        await run("memory://otel-child", OpenTelemetry(consumer.provider))
        request, sent = producer.one("request"), producer.one("create shop:orders")
        assert same(sent.parent, request.context)
        assert context_of(consumer.spans[0]).trace_id == context_of(request).trace_id

    async def test_only_what_was_enqueued_has_a_span(self, producer: Traced) -> None:
        worker, pay = make_worker("memory://otel-enqueued", OpenTelemetry(producer.provider))
        await asyncio.gather(*(pay.with_options(id="once").send(1) for _ in range(3)))
        assert [span.name for span in producer.spans] == ["create shop:orders"]
        assert await worker.broker.clear(pay.queue) == 1

    @pytest.mark.slow
    async def test_schedulers_that_race_make_one_for_each_slot(
        self, url: str, producer: Traced
    ) -> None:
        sharing = OpenTelemetry(producer.provider)
        workers = [make_worker(url, sharing) for _ in range(3)]
        schedulers = [Scheduler(url) for _ in workers]
        for scheduler, (_, pay) in zip(schedulers, workers, strict=True):
            scheduler.cron("* * * * * *", pay.message(1), name="each-second")
        with producer.tracer.start_as_current_span("around"):
            runs = [asyncio.create_task(scheduler.run()) for scheduler in schedulers]

        async def two_are_there() -> bool:
            return len(producer.spans) > 2

        await eventually(two_are_there, description="two slots")
        for scheduler in schedulers:
            await scheduler.stop()
        await asyncio.gather(*runs)
        around = producer.one("around")
        created = [span for span in producer.spans if span is not around]
        ids = [span.attributes["messaging.message.id"] for span in created if span.attributes]
        assert len(ids) == len(set(ids)) >= 2
        assert {span.parent for span in created} == {None}
        traces = {context_of(span).trace_id for span in [*created, around]}
        assert len(traces) == len(created) + 1
        for worker, _ in workers:
            await worker.aclose()

    async def test_what_was_not_traced_begins_a_trace(self, consumer: Traced) -> None:
        worker, pay = make_worker("memory://otel-untraced")
        await pay.send(1)
        await worker.aclose()
        await run("memory://otel-untraced", OpenTelemetry(consumer.provider))
        (ran,) = consumer.spans
        assert (ran.parent, len(ran.links)) == (None, 0)

    async def test_messages_sent_together_have_a_span_each(
        self, producer: Traced, consumer: Traced
    ) -> None:
        worker, pay = make_worker("memory://otel-many", OpenTelemetry(producer.provider))
        await pay.send_many([pay.message(order) for order in range(3)])
        await worker.aclose()
        await run("memory://otel-many", OpenTelemetry(consumer.provider))
        sent = {context_of(span).span_id for span in producer.spans}
        linked = {link.context.span_id for span in consumer.spans for link in span.links}
        assert len(sent) == 3
        assert linked == sent

    async def test_a_context_the_user_gave_is_left_as_it_is(
        self, producer: Traced, consumer: Traced
    ) -> None:
        worker, pay = make_worker("memory://otel-given", OpenTelemetry(producer.provider))
        message = pay.message(1)
        given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        message.ctx["traceparent"] = given
        await pay.send_many([message])
        await worker.aclose()
        await run("memory://otel-given", OpenTelemetry(consumer.provider))
        assert producer.spans == []
        assert context_of(consumer.spans[0]).trace_id == int(given.split("-")[1], 16)

    async def test_without_tracing_nothing_is_added_to_a_message(self) -> None:
        seen: list[dict[str, Any]] = []
        middleware = OpenTelemetry(trace.NoOpTracerProvider())
        worker = Worker("shop", broker_url="memory://otel-off", middlewares=[middleware])

        @worker.task
        async def pay() -> None:
            seen.append(dict(current().message.ctx))

        await pay.send()
        await worker.run(burst=True)
        assert seen == [{}]

    @pytest.mark.parametrize("wrong", [5, [], {}, "no trace", "00-0-0-0", None], ids=str)
    async def test_a_ctx_that_is_no_context_disturbs_nothing(
        self, producer: Traced, consumer: Traced, wrong: object
    ) -> None:
        worker, pay = make_worker("memory://otel-wrong")
        message = pay.message(1)
        message.ctx.update(traceparent=wrong, tracestate=wrong, baggage=wrong)
        await pay.send_many([message])
        await worker.aclose()
        await run("memory://otel-wrong", OpenTelemetry(consumer.provider))
        assert consumer.spans[0].attributes is not None
        assert consumer.spans[0].attributes["ltq.outcome"] == "completed"


class TestInside:
    async def test_the_task_runs_inside_its_span_in_a_thread_too(self, consumer: Traced) -> None:
        middleware = OpenTelemetry(consumer.provider)
        worker = Worker("shop", broker_url="memory://otel-thread", middlewares=[middleware])

        @worker.task
        def pay() -> None:
            with consumer.tracer.start_as_current_span("inner"):
                pass

        await pay.send()
        await worker.run(burst=True)
        assert same(consumer.one("inner").parent, consumer.one("process shop:pay").context)

    async def test_two_at_once_do_not_mix(self, consumer: Traced) -> None:
        middleware = OpenTelemetry(consumer.provider, parent=False)
        worker = Worker("shop", broker_url="memory://otel-two", middlewares=[middleware])
        both = asyncio.Barrier(2)

        @worker.task
        async def pay(name: str) -> None:
            await both.wait()
            with consumer.tracer.start_as_current_span(name):
                await both.wait()

        handles = {name: await pay.send(name) for name in ("a", "b")}
        await worker.run(burst=True)
        outer = {
            span.attributes["messaging.message.id"]: span
            for span in consumer.spans
            if span.attributes and "messaging.message.id" in span.attributes
            if span.kind is SpanKind.CONSUMER
        }
        for name, handle in handles.items():
            assert same(consumer.one(name).parent, outer[handle.id].context)

    async def test_baggage_travels(self, producer: Traced) -> None:
        seen = []
        middleware = OpenTelemetry(producer.provider)
        worker = Worker("shop", broker_url="memory://otel-baggage", middlewares=[middleware])

        @worker.task
        async def pay() -> None:
            seen.append(baggage.get_baggage("tenant"))

        token = context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            await pay.send()
        finally:
            context.detach(token)
        await worker.run(burst=True)
        assert seen == ["acme"]
        assert baggage.get_baggage("tenant") is None


class SilentError(Exception):
    """Cannot even say its own text."""

    def __str__(self) -> str:
        raise ValueError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


class TestErrors:
    async def ended(self, consumer: Traced, error: BaseException) -> ReadableSpan:
        """The span of a run that raised `error`."""
        _, pay = make_worker("memory://otel-errors")
        message: Message[Any] = Message((1,), {}, pay.name)
        running = asyncio.current_task()
        assert running is not None
        if isinstance(error, asyncio.CancelledError):
            running.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        with pytest.raises(type(error)):
            async with OpenTelemetry(consumer.provider)(message, pay):
                raise error
        if isinstance(error, asyncio.CancelledError):
            running.uncancel()
        (span,) = consumer.spans
        return span

    @pytest.mark.parametrize(
        ("error", "outcome", "kind"),
        [
            (ValueError("no"), "failed", "builtins.ValueError"),
            (SystemExit(1), "failed", "builtins.SystemExit"),
            (KeyboardInterrupt(), "failed", "builtins.KeyboardInterrupt"),
            (SilentError(), "failed", f"{__name__}.SilentError"),
            (ExhaustedError(), "failed", "ltq.errors.ExhaustedError"),
            (caused(ExhaustedError(), OSError("away")), "failed", "builtins.OSError"),
            (caused(RetryError(1), OSError("away")), "retried", "builtins.OSError"),
            (caused(RejectError("bad"), OSError("away")), "rejected", "builtins.OSError"),
        ],
        ids=repr,
    )
    async def test_a_failure_is_an_error(
        self, consumer: Traced, error: BaseException, outcome: str, kind: str
    ) -> None:
        span = await self.ended(consumer, error)
        assert span.attributes is not None
        assert span.attributes["ltq.outcome"] == outcome
        assert span.attributes["error.type"] == kind
        assert span.status.status_code is StatusCode.ERROR
        assert kind.rpartition(".")[2] in (span.status.description or "")
        if not isinstance(error, SilentError):
            (event,) = span.events
            assert event.name == "exception"

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (RetryError(5), "retried"),
            (RejectError("a duplicate"), "rejected"),
            (asyncio.CancelledError(), "cancelled"),
        ],
        ids=repr,
    )
    async def test_what_a_task_decides_and_a_cancellation_are_none(
        self, consumer: Traced, error: BaseException, outcome: str
    ) -> None:
        span = await self.ended(consumer, error)
        assert span.attributes is not None
        assert span.attributes["ltq.outcome"] == outcome
        assert "error.type" not in span.attributes
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()

    async def test_every_try_has_a_span_linked_to_the_one_send(self, consumer: Traced) -> None:
        worker = Worker(
            "shop",
            broker_url="memory://otel-tries",
            middlewares=[OpenTelemetry(consumer.provider), MaxTries()],
        )

        @worker.task(max_tries=2, backoff=lambda _: 0.0)
        async def pay() -> None:
            raise OSError("away")

        await pay.send()
        await worker.run(burst=True)
        sent = consumer.one("create shop:pay")
        runs = [span for span in consumer.spans if span.kind is SpanKind.CONSUMER]
        assert [
            (span.attributes["ltq.attempt"], span.attributes["ltq.outcome"])
            for span in runs
            if span.attributes
        ] == [(1, "retried"), (2, "failed")]
        assert all(same(span.links[0].context, sent.context) for span in runs)
        assert all(span.status.status_code is StatusCode.ERROR for span in runs)


class TestPackage:
    def test_without_it_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        with pytest.raises(ConfigurationError) as caught:
            OpenTelemetry()
        assert str(caught.value) == (
            "the OpenTelemetry middleware needs opentelemetry-api: pip install 'ltq[opentelemetry]'"
        )
