"""Moving a test's clock: whatever is due at one moment happens before the next."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from typing import Protocol
from weakref import WeakKeyDictionary

from ltq._aio.loops import running_loop
from ltq.errors import ConfigurationError
from ltq.testing._loops import WORLD, Timeline, awaited_by

_LOOK_EVERY = 0.001
"""Real seconds between two checks of tasks that wait for something real."""


class Participant(Protocol):
    """What works while a clock is moved. A box is one."""

    async def begin(self) -> None:
        """Start workers in the running event loop, if necessary, and let them claim tasks."""
        ...

    def pause(self) -> None:
        """Let workers claim no more tasks."""
        ...

    def check(self) -> None:
        """Raise the error that ended a worker or a scheduler, if there is one."""
        ...

    def running(self) -> list["asyncio.Task[None]"]:
        """The asyncio tasks that run tasks."""
        ...

    def has_threads(self) -> bool:
        """Whether one of them runs in a thread."""
        ...


class Mover:
    """Holds the time of a clock, and moves it while participants work."""

    def __init__(self, now: float, patience: float) -> None:
        self.now = now
        """Unix seconds."""
        self._patience = patience
        # Loop times stay near those of the real loop, as an object may be used with both clocks.
        # The difference is a whole number, so that no moment is rounded.
        self._ahead = math.floor(now) - math.floor(time.monotonic())
        self._timeline: Timeline | None = None
        self._participants: list[Participant] = []
        self._is_moving = False
        self._since: dict[asyncio.Future[object], float] = {}
        """The real things that running tasks wait for, and since when, in real seconds."""

    def join(self, participant: Participant) -> None:
        """Let a participant work while the clock is moved."""
        self._participants.append(participant)

    def leave(self, participant: Participant) -> None:
        """Remove a participant. After the last one, the event loop follows real time again."""
        if participant in self._participants:
            self._participants.remove(participant)
        if not self._participants and self._timeline is not None:
            self._timeline.release()
            self._timeline = None

    def lead(self, context: Context) -> None:
        """Let code that runs in a context follow this clock, in the running event loop."""
        context.run(WORLD.set, self._timeline_here())

    def _timeline_here(self) -> Timeline:
        """The timeline of the running event loop. A timeline of another event loop ends."""
        loop = asyncio.get_running_loop()
        if self._timeline is None or self._timeline.loop is not loop:
            if self._timeline is not None:
                self._timeline.release()
            self._timeline = Timeline(loop, lambda: self.now - self._ahead)
        return self._timeline

    async def move(self, until: float) -> None:
        """Move on to a moment, in Unix seconds. Whatever is due until then happens in order."""
        async with self._work() as timeline:
            await self._settle(timeline)
            while (moment := timeline.next + self._ahead) <= until:
                if moment - self._ahead < timeline.next:  # rounded down, so it is not due yet
                    moment = math.nextafter(moment, math.inf)
                self.now = max(self.now, moment)
                timeline.fire()
                await self._settle(timeline)
            self.now = max(self.now, until)

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[Timeline]:
        """Let the participants work during the block."""
        running_loop()
        if WORLD.get() is not None:
            raise ConfigurationError("a clock is moved by the test, not by a task that follows it")
        if self._is_moving:
            raise ConfigurationError("the clock is already being moved: await that first")
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
        """Wait until nothing more happens at this moment; at most `patience` for real things."""
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
        """The real things that running tasks wait for: neither timers of the clock nor the loop."""
        if not timeline.has_outside() and not any(
            participant.has_threads() for participant in self._participants
        ):
            return []
        running = [task for participant in self._participants for task in participant.running()]
        return [future for future in awaited_by(running) if not timeline.sleeps(future)]


_MOVERS: WeakKeyDictionary[object, Mover] = WeakKeyDictionary()
"""By clock: users see the clock only."""


def remember_mover(clock: object, mover: Mover) -> None:
    """Let `mover_of` find the mover of a clock, as long as the clock lives."""
    _MOVERS[clock] = mover


def mover_of(clock: object) -> Mover:
    """The mover of a clock, for those that take part in its moves."""
    return _MOVERS[clock]
