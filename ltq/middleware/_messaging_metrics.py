"""The metrics of OpenTelemetry's semantic conventions for messaging."""

import inspect
from typing import TYPE_CHECKING, Any

from ltq.task import Task

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Upper bounds of the buckets, in seconds, as the conventions want them."""


class MessagingMetrics:
    """Counts what is sent and what is run, and times both.

    Attributes are names of queues and tasks, outcomes and classes of errors: never ids.
    """

    def __init__(self, scope: str, provider: "MeterProvider | None") -> None:
        from opentelemetry import metrics

        meter = metrics.get_meter(scope, meter_provider=provider)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages",
            unit="{message}",
            description="Number of messages producer attempted to send to the broker.",
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            unit="{message}",
            description="Number of messages that were delivered to the application.",
        )
        self._operations = _histogram(
            meter,
            "messaging.client.operation.duration",
            "Duration of messaging operation initiated by a producer or consumer client.",
        )
        self._runs = _histogram(
            meter, "messaging.process.duration", "Duration of processing operation."
        )

    def sent(self, task: Task[..., Any], seconds: float, *, is_answered: bool) -> None:
        """A message was sent; the broker answered after `seconds`, or did not."""
        attributes = _attributes("send", task)
        if not is_answered:
            attributes["error.type"] = "no_answer"
        self._sent.add(1, attributes)
        self._operations.record(seconds, {**attributes, "messaging.operation.type": "send"})

    def ran(self, task: Task[..., Any], seconds: float, outcome: str, error_type: str) -> None:
        """A run of a task has ended after `seconds`. Without an error, its type is empty."""
        attributes = {**_attributes("process", task), "ltq.outcome": outcome}
        if error_type:
            attributes["error.type"] = error_type
        self._consumed.add(1, attributes)
        self._runs.record(seconds, attributes)


def _attributes(operation: str, task: Task[..., Any]) -> dict[str, str]:
    return {
        "messaging.system": "ltq",
        "messaging.operation.name": operation,
        "messaging.destination.name": task.queue,
        "ltq.task": task.name,
    }


def _histogram(meter: "Meter", name: str, description: str) -> Any:
    advice = "explicit_bucket_boundaries_advisory"
    is_taken = advice in inspect.signature(meter.create_histogram).parameters  # since 1.30
    more: dict[str, Any] = {advice: _DURATIONS} if is_taken else {}
    return meter.create_histogram(name, unit="s", description=description, **more)
