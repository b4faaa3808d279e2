"""kill -9 and pauses of schedulers: each slot is fired once all the same."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from random import Random

from devtools.chaos import plans
from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile
from devtools.chaos.scheduler_fleet import SchedulerFleet
from devtools.chaos.slots import Fired, collecting
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.scheduler import Scheduler

_PAUSE = 1.0
"""Seconds between two faults, in the mean."""

_STEER = 0.2
"""Seconds between two changes of schedules that are kept, in the mean."""

_EACH_SECOND = "* * * * * *"

_LATE = 1.0


async def schedules(seconds: float, count: int, seed: int) -> list[Goal]:
    """Schedulers are killed, paused and started again, while each task is taken at once.

    Taken with `result_ttl=0` they leave no trace: only the slot kept stands against a second one.
    """
    chance, found = Random(seed), list[Fired]()
    async with RedisStage() as stage, collecting(stage.direct, found):
        fleet = SchedulerFleet(stage, plans.TARGET, count)
        await fleet.start()
        async with _steering(stage.direct, Random(seed)):
            await fleet.hurt(seconds, chance, pause=_PAUSE)
        left = await fleet.dismiss()
        await asyncio.sleep(1.0)  # what was fired last is claimed
    return [*_judge(found), *fleet.goals(), Goal("ended in order at SIGTERM", left)]


@asynccontextmanager
async def _steering(broker: RedisBroker, chance: Random) -> AsyncIterator[None]:
    """Put schedules, and put, pause and resume them again and again. In the end all are resumed."""
    plans.worker.broker = broker
    scheduler = Scheduler(broker=broker)

    async def put(name: str) -> None:
        message = plans.tick.with_options(priority=chance.choice(("high", "low"))).message()
        await scheduler.put(name, _EACH_SECOND, message, misfire="all")

    async def steer() -> None:
        while True:
            name = chance.choice(plans.KEPT)
            with suppress(BrokerError):
                await chance.choice((put, put, scheduler.pause, scheduler.resume))(name)
            await asyncio.sleep(chance.uniform(0.0, 2 * _STEER))

    for name in plans.KEPT:
        await put(name)
    steering = asyncio.create_task(steer())
    try:
        yield
    finally:
        steering.cancel()
        await asyncio.gather(steering, return_exceptions=True)
        for name in plans.KEPT:
            await scheduler.resume(name)


def _judge(found: Sequence[Fired]) -> list[Goal]:
    slots: dict[str, list[int]] = defaultdict(list)
    for one in found:
        slots[one.schedule].append(one.slot)
    late = [one.late for one in found]
    missing = sum(
        len({*_between(slots[name])} - {*slots[name]}) for name in (*plans.ALL, *plans.KEPT)
    )
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
