"""Middleware: async context managers around the run of a task.

The default stack is `[MaxTries(), MaxAge(), MaxRate()]`. The first one is entered first, so it
sees what the others raise. Middleware that only watches (`Prometheus`, `OpenTelemetry`, `Sentry`)
is an `Observer`: it is entered before all others, wherever it is registered.
"""

from ltq.middleware.base import Ending, Middleware, ending_of
from ltq.middleware.max_age import MaxAge
from ltq.middleware.max_rate import MaxRate
from ltq.middleware.max_tries import MaxTries
from ltq.middleware.observer import Observer
from ltq.middleware.otel import OpenTelemetry
from ltq.middleware.prometheus import Prometheus
from ltq.middleware.sentry import Sentry

__all__ = [
    "Ending",
    "MaxAge",
    "MaxRate",
    "MaxTries",
    "Middleware",
    "Observer",
    "OpenTelemetry",
    "Prometheus",
    "Sentry",
    "default_stack",
    "ending_of",
]


def default_stack() -> list[Middleware]:
    """The middleware of a worker for which none is given."""
    return [MaxTries(), MaxAge(), MaxRate()]
