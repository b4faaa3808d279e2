"""Middleware: async context managers around the run of a task.

The default stack is `[MaxTries(), MaxAge(), MaxRate()]`. The first one is entered first, so it
sees what the others raise.
"""

from ltq.middleware.base import Middleware
from ltq.middleware.max_age import MaxAge
from ltq.middleware.max_rate import MaxRate
from ltq.middleware.max_tries import MaxTries
from ltq.middleware.otel import OpenTelemetry
from ltq.middleware.prometheus import Prometheus
from ltq.middleware.sentry import Sentry

__all__ = [
    "MaxAge",
    "MaxRate",
    "MaxTries",
    "Middleware",
    "OpenTelemetry",
    "Prometheus",
    "Sentry",
    "default_stack",
]


def default_stack() -> list[Middleware]:
    """The middleware of a worker for which none is given."""
    return [MaxTries(), MaxAge(), MaxRate()]
