"""A clock that tests move."""

import math
import time
from datetime import UTC, datetime, timedelta

from ltq.errors import ConfigurationError
from ltq.options import MAX_SECONDS, Seconds, seconds
from ltq.testing._mover import Mover, remember_mover

Moment = datetime | str | float
"""An aware datetime, an ISO 8601 text of one, or Unix seconds."""


class Clock:
    """The time of workers, schedulers and a broker under test. It stands still until it is moved.

        clock = Clock(start="2030-01-01T12:00:00Z")
        async with ltq.testing.use(worker, clock=clock):
            await clock.advance(hours=1)

    `start` is an aware datetime, an ISO 8601 text of one, or Unix seconds; None means now, in whole
    seconds. A running task may wait for something real: a thread, a socket. `patience` is how many
    real seconds the clock waits for that before it moves on. A call of the clock returns Unix
    seconds. Raises `ConfigurationError`.
    """

    def __init__(self, start: Moment | None = None, *, patience: Seconds = 1.0) -> None:
        now = float(int(time.time())) if start is None else _unix("start", start)
        self._mover = Mover(now, seconds("patience", patience, zero=True))
        remember_mover(self, self._mover)

    def __call__(self) -> float:
        """The present moment, in Unix seconds."""
        return self._mover.now

    def __repr__(self) -> str:
        return f"<Clock {self.now.isoformat()}>"

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.fromtimestamp(self._mover.now, UTC)

    async def advance(
        self,
        seconds: Seconds = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """Move on by a timedelta, or by seconds, minutes, hours and days together.

        Whatever is due until then happens at its own time, in order: delayed tasks start, retries
        run, cron slots are fired, timeouts end. Raises `ConfigurationError` for a negative time
        and inside a task, and the error that ended a worker or a scheduler, such as a
        `LifespanError`.
        """
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        try:
            total = step + 60.0 * minutes + 3600.0 * hours + 86400.0 * days
        except TypeError:
            total = math.nan
        if not 0 <= total <= MAX_SECONDS:
            given = (seconds, minutes, hours, days)
            raise ConfigurationError(
                f"advance by {given!r} (seconds, minutes, hours, days) is not allowed: "
                "a timedelta or numbers, 0 or more together, at most a century"
            )
        await self._mover.move(self._mover.now + total)

    async def advance_to(self, moment: Moment) -> None:
        """Move on to a moment: an aware datetime, an ISO 8601 text of one, or Unix seconds.

        Raises `ConfigurationError` for a moment that has passed, and what `advance` raises.
        """
        until = _unix("moment", moment)
        if until < self._mover.now:
            raise ConfigurationError(
                f"moment={moment!r} is not allowed: the clock shows {self.now.isoformat()} already"
            )
        await self._mover.move(until)


def _unix(name: str, moment: object) -> float:
    """A moment in Unix seconds. Raises `ConfigurationError`, which names the parameter."""
    parsed = moment
    if isinstance(parsed, str):
        try:
            parsed = datetime.fromisoformat(parsed)
        except ValueError:
            parsed = None
    if isinstance(parsed, datetime) and parsed.tzinfo is not None:
        return parsed.timestamp()
    if isinstance(parsed, int | float) and not isinstance(parsed, bool) and math.isfinite(parsed):
        return float(parsed)
    raise ConfigurationError(
        f"{name}={moment!r} is not allowed: an aware datetime, an ISO 8601 text of one, "
        "or Unix seconds"
    )
