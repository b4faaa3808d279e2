"""kill -9 and pauses of schedulers: each slot is fired once all the same."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

from devtools.chaos import plans
from devtools.chaos.figures.goal import Goal
from devtools.chaos.say import percentile, say
from devtools.chaos.stage import Stage
from devtools.workers import WorkerProcess
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError

_PAUSE = 1.0
"""Seconds between two faults, in the mean."""

_LONGEST_STOP = 8.0
"""Seconds for which a scheduler may be paused: longer than a slot may be late."""

_STARTED = "scheduler: "
_LATE = 1.0


@dataclass(frozen=True)
class Fired:
    """A task of a slot, as it was claimed: in the order in which they were enqueued."""

    schedule: str
    slot: int
    late: float


async def schedules(seconds: float, count: int, seed: int) -> list[Goal]:
    """Schedulers are killed, paused and started again, while each task is taken at once.

    Taken with `result_ttl=0` they leave no trace: only the slot kept stands against a second one.
    """
    chance, found = Random(seed), list[Fired]()
    async with Stage() as stage, _collecting(stage.direct, found):
        fleet = _Schedulers(stage, count)
        await fleet.start()
        await fleet.hurt(seconds, chance)
        left = await fleet.dismiss()
        await asyncio.sleep(1.0)  # what was fired last is claimed
    return [*_judge(found), *fleet.goals(), Goal("ended in order at SIGTERM", left)]


@asynccontextmanager
async def _collecting(broker: RedisBroker, found: list[Fired]) -> AsyncIterator[None]:
    async def collect() -> None:
        async with broker.consumer([plans.tick.queue]) as consumer:
            while True:
                with suppress(BrokerError):
                    for delivery in await broker.claim(consumer, 100, timeout=5):
                        found.append(_read(delivery.lease.id, delivery.enqueue_time))
                        await broker.release(delivery.lease, result_ttl=0)

    collecting = asyncio.create_task(collect())
    try:
        yield
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


def _read(task_id: str, enqueue_time: float) -> Fired:
    schedule, _, stamp = task_id.rpartition(":")
    slot = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return Fired(schedule, int(slot), enqueue_time - slot)


class _Schedulers:
    """Processes, each started again when it was killed; one is never paused."""

    def __init__(self, stage: Stage, count: int) -> None:
        self._stage = stage
        self._count = count
        self._current: list[WorkerProcess] = []
        self._stopped: dict[int, float] = {}
        """Places of paused ones, and until when."""
        self._kills = self._pauses = 0

    async def start(self) -> None:
        self._current = [await self._start() for _ in range(self._count)]
        for one in self._current:
            await one.logged(_STARTED, 30.0)

    async def _start(self) -> WorkerProcess:
        arguments = ["-m", "ltq", "schedule", plans.TARGET]
        return await self._stage.fleet.run(self._stage.server.url, arguments)

    async def hurt(self, seconds: float, chance: Random) -> None:
        end, told = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * _PAUSE)
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
        return [
            Goal("schedulers", self._count),
            Goal("kill -9", self._kills),
            Goal("pauses", self._pauses),
        ]


def _judge(found: Sequence[Fired]) -> list[Goal]:
    slots: dict[str, list[int]] = defaultdict(list)
    for one in found:
        slots[one.schedule].append(one.slot)
    late = [one.late for one in found]
    missing = sum(len({*_between(slots[name])} - {*slots[name]}) for name in plans.ALL)
    return [
        Goal("schedules", len(slots)),
        Goal("slots fired", len(found)),
        Goal("fired twice", sum(len(own) - len(set(own)) for own in slots.values()), 0),
        Goal("fired after a later one", sum(map(_falls, slots.values())), 0),
        Goal("missing, of those with misfire='all'", missing, 0),
        Goal("early", sum(one < 0 for one in late), 0),
        Goal("late, median (s)", percentile(late, 0.5)),
        Goal("late, 99 % (s)", percentile(late, 0.99)),
        Goal("late, most (s)", max(late, default=0.0)),
        Goal(f"more than {_LATE:g} s late", sum(one > _LATE for one in late)),
    ]


def _between(slots: Sequence[int]) -> range:
    return range(min(slots), max(slots) + 1) if slots else range(0)


def _falls(slots: Sequence[int]) -> int:
    return sum(later < earlier for earlier, later in pairwise(slots))
