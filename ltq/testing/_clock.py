"""A clock that tests move."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ltq.errors import ConfigurationError
from ltq.options import MAX_SECONDS, Seconds, seconds
from ltq.testing._loops import WORLD, Timeline, awaited_by

Moment = datetime | str | float
"""An aware datetime, an ISO 8601 text of one, or Unix seconds."""

_LOOK_EVERY = 0.001
"""Real seconds between two checks of what waits for something real."""


class Participant(Protocol):
    """What works while a clock is moved. A box is one."""

    async def begin(self) -> None:
        """Start to work in the running event loop, if that has not begun; let tasks be claimed."""
        ...

    def pause(self) -> None:
        """Let no more tasks be claimed."""
        ...

    def check(self) -> None:
        """Raise the error that ended a worker or a scheduler."""
        ...

    def running(self) -> list["asyncio.Task[None]"]:
        """The asyncio tasks that run tasks."""
        ...

    def has_threads(self) -> bool:
        """Whether one of them runs in a thread."""
        ...


class Clock:
    """The time of workers, schedulers and a broker under test. It stands still unless it is moved.

        clock = Clock(start="2030-01-01T12:00:00Z")
        async with ltq.testing.use(worker, clock=clock):
            await clock.advance(hours=1)

    `start` is an aware datetime, an ISO 8601 text of one, or Unix seconds; None is now, in whole
    seconds. A running task may wait for something real: a thread, a socket. `patience` is how many
    real seconds the clock waits for that before it moves on. Calling the clock gives Unix seconds.
    Raises `ConfigurationError`.
    """

    def __init__(self, start: Moment | None = None, *, patience: Seconds = 1.0) -> None:
        self._now = float(int(time.time())) if start is None else _unix("start", start)
        self._patience = seconds("patience", patience, zero=True)
        # Loop times stay near those of the real loop, as an object may be used with both clocks.
        # A whole number, so that no moment is rounded.
        self._ahead = math.floor(self._now) - math.floor(time.monotonic())
        self._timeline: Timeline | None = None
        self._participants: list[Participant] = []
        self._is_moving = False
        self._since: dict[asyncio.Future[object], float] = {}
        """The real things that running tasks wait for, and since when, in real time."""

    def __call__(self) -> float:
        """Unix seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"<Clock {self.now.isoformat()}>"

    @property
    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.fromtimestamp(self._now, UTC)

    async def advance(
        self,
        seconds: Seconds = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """Move on by a timedelta, or by seconds, minutes, hours and days together.

        All that is due until then happens at its own time, in order: delayed tasks start, retries
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
        await self._move(self._now + total)

    async def advance_to(self, moment: Moment) -> None:
        """Move on to a moment: an aware datetime, an ISO 8601 text of one, or Unix seconds.

        Raises `ConfigurationError` for a moment that has passed, and what `advance` raises.
        """
        until = _unix("moment", moment)
        if until < self._now:
            raise ConfigurationError(
                f"moment={moment!r} is not allowed: the clock shows {self.now.isoformat()} already"
            )
        await self._move(until)

    def join(self, participant: Participant) -> None:
        """Let a participant work while the clock is moved."""
        self._participants.append(participant)

    def leave(self, participant: Participant) -> None:
        """Let a participant work no more. After the last one the event loop keeps real time."""
        if participant in self._participants:
            self._participants.remove(participant)
        if not self._participants and self._timeline is not None:
            self._timeline.release()
            self._timeline = None

    def lead(self, context: Context) -> None:
        """Let what runs in a context of the running event loop follow this clock."""
        context.run(WORLD.set, self._timeline_here())

    def _timeline_here(self) -> Timeline:
        """The timeline of the running event loop; one of another event loop ends."""
        loop = asyncio.get_running_loop()
        if self._timeline is None or self._timeline.loop is not loop:
            if self._timeline is not None:
                self._timeline.release()
            self._timeline = Timeline(loop, lambda: self._now - self._ahead)
        return self._timeline

    async def _move(self, until: float) -> None:
        async with self._work() as timeline:
            await self._settle(timeline)
            while (moment := timeline.next + self._ahead) <= until:
                if moment - self._ahead < timeline.next:  # rounded down, so it is not due yet
                    moment = math.nextafter(moment, math.inf)
                self._now = max(self._now, moment)
                timeline.fire()
                await self._settle(timeline)
            self._now = max(self._now, until)

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[Timeline]:
        """Let the participants work during the block."""
        if WORLD.get() is not None:
            raise ConfigurationError("a clock is moved by the test, not by what follows it")
        if self._is_moving:
            raise ConfigurationError("the clock is being moved already: await that first")
        self._is_moving = True
        try:
            async with AsyncExitStack() as stack:
                for participant in tuple(self._participants):
                    stack.callback(participant.pause)
                    await participant.begin()
                yield self._timeline_here()
        finally:
            self._is_moving = False

    async def _settle(self, timeline: Timeline) -> None:
        """Wait for all that happens at this moment; for real things, at most `patience` seconds."""
        while True:
            await timeline.quiesce()
            for participant in self._participants:
                participant.check()
            now = time.monotonic()
            outside = self._outside(timeline)
            self._since = {future: self._since.get(future, now) for future in outside}
            if all(now - first >= self._patience for first in self._since.values()):
                return
            await asyncio.sleep(_LOOK_EVERY)

    def _outside(self, timeline: Timeline) -> list["asyncio.Future[object]"]:
        """What running tasks wait for that is neither a timer of the clock nor within the loop."""
        if not timeline.has_outside() and not any(
            participant.has_threads() for participant in self._participants
        ):
            return []
        running = [task for participant in self._participants for task in participant.running()]
        return [future for future in awaited_by(running) if not timeline.sleeps(future)]


def _unix(name: str, moment: object) -> float:
    """Unix seconds of a moment."""
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
