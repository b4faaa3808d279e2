"""OpenTelemetry traces, from the send of a task to its runs."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ltq._display.errors import cause_of, is_a
from ltq.errors import ConfigurationError, SignalError
from ltq.message import Message
from ltq.middleware.base import Ending, ending_of
from ltq.middleware.observer import Observer
from ltq.task import Task

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, TracerProvider

_SCOPE = "ltq"
"""The instrumentation scope of the spans."""


class OpenTelemetry(Observer):
    """Makes a span for each send, and a linked span for each run; needs `ltq[opentelemetry]`.

    Names and attributes follow OpenTelemetry's semantic conventions for messaging, with
    `ltq.task`, `ltq.attempt` (from 1) and `ltq.outcome` (`completed`, `failed`, `retried`,
    `rejected`, `cancelled`) added. The configured propagator (`opentelemetry.propagate`) writes the
    context of the send to `message.ctx`, so baggage travels as well. A context that is already in
    `message.ctx` is left as it is.

    Spans come from `tracer_provider`, or from the global provider. The span of each run is linked
    to that of the send. It is also its child, unless the worker runs inside a span, which is the
    parent then. With `parent=False` each run begins a trace of its own.

    It is an `Observer`: wherever it is registered, the span of a run is around all other
    middleware. Raises `ConfigurationError` if opentelemetry-api is missing.
    """

    def __init__(
        self, tracer_provider: "TracerProvider | None" = None, *, parent: bool = True
    ) -> None:
        try:
            from opentelemetry import trace
        except ImportError:
            raise ConfigurationError(
                "the OpenTelemetry middleware needs opentelemetry-api: "
                "pip install 'ltq[opentelemetry]'"
            ) from None
        self._provider = tracer_provider
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._parent = parent

    @property
    def reports_to(self) -> object:
        """The provider of its tracer."""
        from opentelemetry import trace

        return self._provider or trace.get_tracer_provider()

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        """Record a span for the message, and put its context into `message.ctx`."""
        from opentelemetry import propagate, trace
        from opentelemetry.context import Context

        given = trace.get_current_span(propagate.extract(_texts(message.ctx), Context()))
        if given.get_span_context().is_valid:
            return  # set by the user: the conventions say to leave it
        with self._tracer.start_as_current_span(
            f"create {task.queue}",
            kind=trace.SpanKind.PRODUCER,
            attributes=_attributes("create", message, task),
        ):
            propagate.inject(message.ctx)

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        """Record a span around the run."""
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
            try:
                yield
            except BaseException as error:
                _record(span, error)
                raise
            _record(span, None)

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


def _record(span: "Span", error: BaseException | None) -> None:
    """Record on the span how the run ended."""
    from opentelemetry.trace import Status, StatusCode

    ending = ending_of(error)
    span.set_attribute("ltq.outcome", ending.value)
    cause = _cause(error, ending)
    if cause is None:
        return
    kind = type(cause)
    span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}")
    span.set_status(Status(StatusCode.ERROR, kind.__name__))
    with suppress(BaseException):  # an error whose text cannot be made
        span.set_status(Status(StatusCode.ERROR, f"{kind.__name__}: {cause}"))
        span.record_exception(cause)


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
