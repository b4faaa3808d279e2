"""The observers that LTQ brings see how runs ended, wherever they are registered."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from ltq.app import App
from ltq.context import current
from ltq.middleware import MaxTries, Observer, OpenTelemetry, Prometheus, Sentry, default_stack
from ltq.middleware._order import run_order, send_order
from ltq.worker import Worker
from tests.middleware.test_prometheus import ended, value
from tests.middleware.test_sentry import DSN, Recorder


class Reports:
    """What all three report."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.recorder = Recorder()
        self.spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.observers: list[Callable[[], Observer]] = [
            lambda: Prometheus(self.registry),
            lambda: OpenTelemetry(provider),
            lambda: Sentry(
                DSN,
                transport=self.recorder,
                default_integrations=False,
                auto_enabling_integrations=False,
            ),
        ]

    @property
    def runs(self) -> list[ReadableSpan]:
        """The spans of runs, in the order in which they ended."""
        found = self.spans.get_finished_spans()
        return [span for span in found if "ltq.outcome" in (span.attributes or {})]

    @property
    def outcomes(self) -> list[Any]:
        """How runs ended, by their spans."""
        return [(span.attributes or {})["ltq.outcome"] for span in self.runs]


@pytest.fixture
def reports() -> Iterator[Reports]:
    yield Reports()
    sentry_sdk.get_client().close()
    sentry_sdk.Scope.get_global_scope().set_client(None)


def at(pos: int) -> Callable[[Worker, Reports], None]:
    def register(worker: Worker, reports: Reports) -> None:
        for make in reports.observers:
            worker.register_middleware(make(), pos)

    return register


def in_the_app(worker: Worker, reports: Reports) -> None:
    app = App()
    app.register_worker(worker)
    for make in reports.observers:
        app.register_middleware(make())


def in_both(worker: Worker, reports: Reports) -> None:
    at(-1)(worker, reports)
    App(middlewares=[make() for make in reports.observers]).register_worker(worker)


@pytest.mark.parametrize(
    "register",
    [at(0), at(1), at(2), at(-2), at(-1), at(99), in_the_app, in_both],
    ids=["0", "1", "2", "-2", "-1", "99", "app", "both"],
)
async def test_each_attempt_is_reported_once_as_it_ended(
    url: str, reports: Reports, register: Callable[[Worker, Reports], None]
) -> None:
    worker = Worker("shop", broker_url=url)
    register(worker, reports)

    @worker.task(max_tries=3, backoff=lambda _: 0.0)
    async def third_time() -> None:
        if current().attempt < 3:
            raise OSError("not yet")

    @worker.task(max_tries=2, backoff=lambda _: 0.0)
    def never() -> None:
        raise OSError("never")

    for task in (third_time, never):
        await task.send()
        await worker.run(burst=True)
    await worker.aclose()
    assert ended(reports.registry) == {
        (third_time.name, "completed"): 1,
        (third_time.name, "retried"): 2,
        (never.name, "retried"): 1,
        (never.name, "failed"): 1,
    }
    assert value(reports.registry, "ltq_sends_total", task=never.name) == 1
    assert value(reports.registry, "ltq_runs_in_progress", task=never.name) == 0
    assert reports.outcomes == ["retried", "retried", "completed", "retried", "failed"]
    ((kind, tags),) = reports.recorder.reports
    assert (kind, tags["ltq.task"], tags["ltq.attempt"]) == ("OSError", never.name, "2")


def test_the_order_of_others_is_kept(reports: Reports) -> None:
    stack = default_stack()
    made = [make() for make in reports.observers]
    given = [stack[0], made[0], stack[1], made[1], stack[2], made[2]]
    assert run_order(given) == (made, stack)
    assert send_order(given) == [*stack, *made]


def test_those_with_other_targets_are_all_used() -> None:
    observers = [Prometheus(CollectorRegistry()), Prometheus(CollectorRegistry())]
    observers += [Prometheus(observers[0].registry)]
    tries = MaxTries()
    assert run_order([*observers, tries, tries]) == (observers[:2], [tries, tries])
