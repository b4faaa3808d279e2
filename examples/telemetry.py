"""A worker with traces, metrics and errors.

    pip install -e '.[prometheus,sentry]' opentelemetry-sdk
    ltq run examples.telemetry:worker --metrics-port 9100      # in one terminal
    python -m examples.telemetry --orders 20                   # in another
    curl -s http://127.0.0.1:9100/metrics | grep ^ltq_         # what was counted

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. Each prints its spans
to stderr, one a line: those of the producer and the worker belong to one trace. If SENTRY_DSN is
set, failures go to Sentry.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import ltq
from ltq.middleware import Middleware, OpenTelemetry, Prometheus, Sentry, default_stack

FLAKY, UNKNOWN = 5, 7
"""Every fifth order fails at its first try, every seventh does not exist."""


def as_line(span: ReadableSpan) -> str:
    """A span as one readable line."""
    context, seen = span.context, span.attributes or {}
    trace_id = trace.format_trace_id(context.trace_id) if context else "?"
    about = [f"{key}={seen[key]!s}" for key in ("ltq.attempt", "ltq.outcome") if key in seen]
    return " ".join([trace_id, span.name, *about]) + "\n"


def make_provider() -> TracerProvider:
    """Prints spans; a service would export them in batches, by OTLP."""
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(out=sys.stderr, formatter=as_line)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def watchers(provider: TracerProvider) -> list[Middleware]:
    """Middleware that only observes: it comes first, so it sees how a run really ended."""
    found: list[Middleware] = [OpenTelemetry(provider), Prometheus()]
    dsn = os.environ.get("SENTRY_DSN")
    return [*found, Sentry(dsn)] if dsn else found


provider = make_provider()
worker = ltq.Worker("telemetry", middlewares=[*watchers(provider), *default_stack()])


@worker.task(max_tries=3, backoff=0.1)
async def quote(order: int) -> float:
    """What an order costs."""
    if order % UNKNOWN == 0:
        raise ltq.RejectError(f"there is no order {order}")
    with provider.get_tracer("shop").start_as_current_span("ask for the price"):
        if order % FLAKY == 0 and ltq.current().attempt == 1:
            raise ConnectionError("the price service is away")
    return order * 9.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer. 0: all is well, 1: it failed, 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.telemetry",
        description="Let a worker quote orders, and show one trace of all of it.",
        epilog="The worker: ltq run examples.telemetry:worker --metrics-port 9100",
    )
    parser.add_argument("--orders", type=int, default=20, metavar="N", help="default: 20")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(produce(options.orders))
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; unfinished tasks stay in their queue", file=sys.stderr)
        return 130
    finally:
        provider.shutdown()
    return 0


async def produce(orders: int) -> None:
    """Send a task for each order, and print how they ended."""
    async with contextlib.aclosing(worker):
        with provider.get_tracer("shop").start_as_current_span("quote orders") as span:
            messages = [quote.message(order) for order in range(1, orders + 1)]
            handles = await quote.send_many(messages)
            quoted, refused = 0, 0
            async for handle in ltq.as_completed(handles):
                try:
                    await handle.result()
                    quoted += 1
                except ltq.TaskRejectedError:
                    refused += 1
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    print(f"{quoted} quoted, {refused} refused, all in trace {trace_id}")


if __name__ == "__main__":
    sys.exit(main())
