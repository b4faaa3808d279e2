"""When something happened, by the broker's clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ltq.broker import Broker

_ROUNDED = 0.01
"""Seconds by which a time may be rounded where it is stored."""


class Period:
    """Between two moments, in Unix seconds."""

    def __init__(self, first: float) -> None:
        self._first, self._last = first, first

    def end(self, last: float) -> None:
        """Set the second moment."""
        self._last = last

    def __contains__(self, moment: float | None) -> bool:
        return moment is not None and self._first - _ROUNDED <= moment <= self._last + _ROUNDED

    def __repr__(self) -> str:
        return f"{self._first:.3f} to {self._last:.3f}"


_TRIES = 5


async def least(measure: Callable[[], Awaitable[float]], enough: float) -> float:
    """The least of up to five measures, the last one if it is less than `enough`.

    How long something takes is the broker's doing only where the machine was not busy with others.
    """
    found = await measure()
    for _ in range(_TRIES - 1):
        if found < enough:
            break
        found = min(found, await measure())
    return found


@asynccontextmanager
async def period(broker: Broker) -> AsyncIterator[Period]:
    """While the block runs: how long that takes says nothing about a broker."""
    found = Period(await broker.time())
    yield found
    found.end(await broker.time())
