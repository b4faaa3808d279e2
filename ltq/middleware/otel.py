"""OpenTelemetry: traces from the send of a task to its runs, and metrics of both."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ltq._display.errors import cause_of, is_a
from ltq._display.values import short_repr
from ltq._sender.sent import SentCallback
from ltq.errors import ConfigurationError, SignalError
from ltq.message import Message
from ltq.middleware._messaging_metrics import MessagingMetrics
from ltq.middleware.base import Ending, ending_of
from ltq.middleware.observer import Observer
from ltq.task import Task

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Link, Span, TracerProvider

_SCOPE = "ltq"
"""The instrumentation scope of the spans and metrics."""


class OpenTelemetry(Observer):
    """Traces sends and runs, and counts and times them; needs the extra `ltq[opentelemetry]`.

    It makes a span for each send, and a linked span for each run.

    Names and attributes follow OpenTelemetry's semantic conventions for messaging, with
    `ltq.task`, `ltq.attempt` (from 1) and `ltq.outcome` (`completed`, `failed`, `retried`,
    `rejected`, `cancelled`) added. The configured propagator (`opentelemetry.propagate`) writes the
    context of the send to `message.ctx`, so baggage travels as well. A context that is already in
    `message.ctx` is left as it is.

    Spans come from `tracer_provider`, or from the global provider. The span of each run is linked
    to that of the send. It is also its child, unless the worker runs inside a span, which is the
    parent then. With `parent=False` each run begins a trace of its own.

    Metrics are those of the same conventions, from `meter_provider` or the global provider:

    - `messaging.client.sent.messages`, `messaging.client.operation.duration`: messages that the
      broker has enqueued, and how long each took. With `error.type` "no_answer" the broker did not
      answer, so it may have enqueued them
    - `messaging.client.consumed.messages`, `messaging.process.duration`: runs that have ended, and
      how long they took, with `ltq.outcome`, and `error.type` if they failed

    They have `messaging.destination.name` (the queue) and `ltq.task`, and never an id.

    It is an `Observer`: wherever it is registered, the span of a run is around all other
    middleware. Raises `ConfigurationError` for what is no provider, or if opentelemetry-api is
    missing.
    """

    def __init__(
        self,
        tracer_provider: "TracerProvider | None" = None,
        *,
        meter_provider: "MeterProvider | None" = None,
        parent: bool = True,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ConfigurationError(
                "the OpenTelemetry middleware needs opentelemetry-api: "
                "pip install 'ltq[opentelemetry]'"
            ) from None
        if not (tracer_provider is None or isinstance(tracer_provider, trace.TracerProvider)):
            raise ConfigurationError(
                f"tracer_provider={short_repr(tracer_provider)} is not allowed: a TracerProvider"
            )
        if not (meter_provider is None or isinstance(meter_provider, metrics.MeterProvider)):
            raise ConfigurationError(
                f"meter_provider={short_repr(meter_provider)} is not allowed: a MeterProvider"
            )
        self._provider = tracer_provider
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._metrics = MessagingMetrics(_SCOPE, meter_provider)
        self._parent = parent

    @property
    def reports_to(self) -> object:
        """The provider of its tracer."""
        from opentelemetry import trace

        return self._provider or trace.get_tracer_provider()

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> SentCallback:
        """Begin a span for the message, and put its context into `message.ctx`.

        It is recorded when the broker has taken the message, or may have.
        """
        span = self._begin_send(message, task)
        end, begun = time.time_ns(), time.perf_counter()

        def sent(enqueued: bool | None) -> None:
            if enqueued is False:
                return  # the span is never recorded
            if span is not None:
                span.end(end)
            seconds = time.perf_counter() - begun
            self._metrics.sent(task, seconds, is_answered=enqueued is not None)

        return sent

    def _begin_send(self, message: Message[Any], task: Task[..., Any]) -> "Span | None":
        """The span of a send; None if the user has given the message a context.

        The conventions say to leave that as it is.
        """
        from opentelemetry import propagate, trace
        from opentelemetry.context import Context

        given = trace.get_current_span(propagate.extract(_texts(message.ctx), Context()))
        if given.get_span_context().is_valid:
            return None
        span = self._tracer.start_span(
            f"create {task.queue}",
            kind=trace.SpanKind.PRODUCER,
            attributes=_attributes("create", message, task),
        )
        propagate.inject(message.ctx, trace.set_span_in_context(span))
        return span

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Record a span around the run, and measure it."""
        from opentelemetry import trace

        attributes = {**_attributes("process", message, task), "ltq.attempt": message.tries + 1}
        with (
            self._continued(message) as links,
            self._tracer.start_as_current_span(
                f"process {task.queue}",
                kind=trace.SpanKind.CONSUMER,
                attributes=attributes,
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            error: BaseException | None = None
            begun = time.perf_counter()
            try:
                yield
            except BaseException as raised:
                error = raised
                raise
            finally:  # within the span, so that its context can be an exemplar
                seconds = time.perf_counter() - begun
                self._metrics.ran(task, seconds, ending_of(error).value, _record(span, error))
                del error  # its traceback has this frame

    @contextmanager
    def _continued(self, message: Message[Any]) -> "Iterator[list[Link]]":
        """Make the context of the send the current one; yield links to its span."""
        from opentelemetry import context, propagate, trace

        around = trace.get_current_span()
        nowhere = trace.set_span_in_context(trace.INVALID_SPAN)
        sent = propagate.extract(_texts(message.ctx), nowhere)
        origin = trace.get_current_span(sent).get_span_context()
        if around.get_span_context().is_valid or not self._parent:
            sent = trace.set_span_in_context(around, sent)
        token = context.attach(sent)
        try:
            yield [trace.Link(origin)] if origin.is_valid else []
        finally:
            context.detach(token)


def _texts(ctx: Mapping[str, Any]) -> dict[str, str]:
    """The entries of a `ctx` that a propagator can read: other middleware may write anything."""
    return {key: value for key, value in ctx.items() if isinstance(value, str)}


def _attributes(
    operation: str, message: Message[Any], task: Task[..., Any]
) -> dict[str, str | int]:
    return {
        "messaging.system": "ltq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": task.queue,
        "messaging.message.id": message.id,
        "ltq.task": task.name,
    }


def _record(span: "Span", error: BaseException | None) -> str:
    """Record on the span how the run ended. Return the type of its error; empty without one."""
    from opentelemetry.trace import Status, StatusCode

    ending = ending_of(error)
    span.set_attribute("ltq.outcome", ending.value)
    cause = _cause(error, ending)
    if cause is None:
        return ""
    kind = type(cause)
    error_type = f"{kind.__module__}.{kind.__qualname__}"
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, kind.__name__))
    with suppress(BaseException):  # an error whose text cannot be made
        span.set_status(Status(StatusCode.ERROR, f"{kind.__name__}: {cause}"))
        span.record_exception(cause)
    return error_type


def _cause(error: BaseException | None, ending: Ending) -> BaseException | None:
    """The error that a run failed with; None if it did not fail.

    For a signal it is the error that the signal was raised from. A signal without one is not an
    error: a task may ask for another run, or reject itself, on purpose.
    """
    if error is None or ending is Ending.CANCELLED:
        return None
    if is_a(error, SignalError):
        cause = cause_of(error)
        return None if cause is error and ending is not Ending.FAILED else cause
    return error
