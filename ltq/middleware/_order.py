"""The order of middleware: observers see what all others have made of a run or a message."""

from collections.abc import Iterable
from typing import TypeVar

from ltq.middleware.base import Middleware
from ltq.middleware.observer import Observer

M = TypeVar("M")


def run_order(middlewares: Iterable[Middleware]) -> tuple[list[Observer], list[Middleware]]:
    """The observers, which go around a run, and the others, which belong to it."""
    used = _without_repeated_observers(middlewares)
    observers = [one for one in used if isinstance(one, Observer)]
    return observers, [one for one in used if not isinstance(one, Observer)]


def send_order(middlewares: Iterable[M]) -> list[M]:
    """The middleware as it is called with a message that is sent: the observers last."""
    used = _without_repeated_observers(middlewares)
    return sorted(used, key=lambda one: isinstance(one, Observer))


def _without_repeated_observers(middlewares: Iterable[M]) -> list[M]:
    """Leave out observers that report to the same object as an earlier one."""
    used: list[M] = []
    reported: list[object] = []
    for one in middlewares:
        if isinstance(one, Observer):
            target = one.reports_to
            if any(target is other for other in reported):
                continue
            reported.append(target)
        used.append(one)
    return used
