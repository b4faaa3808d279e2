"""Scheduler processes to be killed, paused and started again."""

import asyncio
import signal
import time
from random import Random

from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import say
from devtools.workers import WorkerProcess

_LONGEST_STOP = 8.0
"""Seconds for which a scheduler may be paused: longer than a slot may be late."""

_STARTED = "scheduler: "


class SchedulerFleet:
    """Processes, each started again when it was killed; one is never paused."""

    def __init__(self, stage: RedisStage, target: str, count: int) -> None:
        self._stage = stage
        self._target = target
        self._count = count
        self._current: list[WorkerProcess] = []
        self._stopped: dict[int, float] = {}
        """Places of paused ones, and until when."""
        self._kills = self._pauses = 0

    async def start(self) -> None:
        """Start all, and wait until they run."""
        self._current = [await self._start() for _ in range(self._count)]
        for one in self._current:
            await one.logged(_STARTED, 30.0)

    async def _start(self) -> WorkerProcess:
        arguments = ["-m", "ltq", "schedule", self._target]
        return await self._stage.fleet.run(self._stage.server.url, arguments)

    async def hurt(self, seconds: float, chance: Random, *, pause: float) -> None:
        """Kill and pause them for a time, with `pause` seconds between two faults in the mean."""
        end, told = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)
            self._wake()
            place = chance.randrange(self._count)
            if place in self._stopped or len(self._stopped) >= self._count - 1:
                continue
            if chance.random() < 0.25:
                self._pause(place, chance.uniform(0.5, _LONGEST_STOP))
            else:
                await self._kill(place)
            if time.monotonic() - told > 30.0:
                told = time.monotonic()
                say(f"{end - told:.0f} s left: {self._kills} kills, {self._pauses} pauses")

    def _pause(self, place: int, seconds: float) -> None:
        self._current[place].signal(signal.SIGSTOP)
        self._stopped[place] = time.monotonic() + seconds
        self._pauses += 1

    def _wake(self, *, all_: bool = False) -> None:
        for place, until in list(self._stopped.items()):
            if all_ or time.monotonic() >= until:
                del self._stopped[place]
                self._current[place].signal(signal.SIGCONT)

    async def _kill(self, place: int) -> None:
        await self._current[place].kill()
        self._kills += 1
        self._current[place] = await self._start()

    async def dismiss(self) -> int:
        """End all; how many ended with 0."""
        self._wake(all_=True)
        for one in self._current:
            await one.logged(_STARTED, 30.0)
            one.signal(signal.SIGTERM)
        return [await one.end(15.0) for one in self._current].count(0)

    def goals(self) -> list[Goal]:
        """How many there are, and what was done to them."""
        return [
            Goal("schedulers", self._count),
            Goal("kill -9", self._kills),
            Goal("pauses", self._pauses),
        ]
