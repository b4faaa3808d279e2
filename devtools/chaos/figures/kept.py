"""kill -9 and pauses of schedulers that have very many schedules, all due at the same moments."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from devtools.chaos import plans
from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile, say
from devtools.chaos.scheduler_fleet import SchedulerFleet
from devtools.chaos.slots import Fired, collecting
from ltq.brokers.redis import RedisBroker
from ltq.scheduler import Scheduler

_SCHEDULERS = 3

_PAUSE = 5.0
"""Seconds between two faults, in the mean. Each new scheduler has to read all schedules."""

_EVERY = 15
"""Seconds between two slots of each schedule."""

_PUT_AT_ONCE = 100

_MADE_UP = 120.0
"""Seconds in which the last slots have to be fired once the faults are over."""


async def kept(seconds: float, count: int, seed: int) -> list[Goal]:
    """Put `count` schedules that are due together, and see that each slot is fired once."""
    found, names = list[Fired](), [f"kept-{number}" for number in range(count)]
    async with RedisStage() as stage, collecting(stage.direct, found):
        began = time.monotonic()
        await _put(stage.direct, names)
        put, since = time.monotonic() - began, await stage.direct.time()
        say(f"{count} schedules are put: {put:.1f} s")
        fleet = SchedulerFleet(stage, plans.BARE, _SCHEDULERS)
        await fleet.start()
        await fleet.hurt(seconds, Random(seed), pause=_PAUSE)
        until = await stage.direct.time()
        wanted = {(name, slot) for name in names for slot in _slots(since, until)}
        made_up = await _made_up(found, wanted)
        left = await fleet.dismiss()
        await asyncio.sleep(1.0)  # what was fired last is claimed
    return [
        Goal("schedules", count),
        Goal("put within (s)", put),
        *_judge(found, wanted),
        Goal("made up within (s) after the faults", made_up, _MADE_UP),
        *fleet.goals(),
        Goal("ended in order at SIGTERM", left),
    ]


async def _made_up(found: Sequence[Fired], wanted: set[tuple[str, int]]) -> float:
    """Wait until all is there, or it takes too long; the seconds until then."""
    began, left, seen = time.monotonic(), set(wanted), 0
    while True:
        left -= {(one.schedule, one.slot) for one in found[seen:]}
        seen, passed = len(found), time.monotonic() - began
        if not left or passed > _MADE_UP:
            return passed
        await asyncio.sleep(0.1)


async def _put(broker: RedisBroker, names: Sequence[str]) -> None:
    plans.worker.broker = broker
    scheduler, expr = Scheduler(broker=broker), f"* * * * * */{_EVERY}"
    for first in range(0, len(names), _PUT_AT_ONCE):
        some, message = names[first : first + _PUT_AT_ONCE], plans.tick.message()
        puts = [scheduler.put(name, expr, message, misfire="all") for name in some]
        await asyncio.gather(*puts)


def _slots(since: float, until: float) -> Iterable[int]:
    """The slots between two moments."""
    return range((int(since) // _EVERY + 1) * _EVERY, int(until) + 1, _EVERY)


def _judge(found: Sequence[Fired], wanted: set[tuple[str, int]]) -> list[Goal]:
    times = Counter((one.schedule, one.slot) for one in found)
    late = [one.late for one in found]
    return [
        Goal("slots fired", len(found)),
        Goal("slots due", len(wanted)),
        Goal("fired twice", sum(number - 1 for number in times.values()), 0),
        Goal("missing", len(wanted - times.keys()), 0),
        Goal("early", sum(one < 0 for one in late), 0),
        Goal("late, median (s)", percentile(late, 0.5)),
        Goal("late, 99 % (s)", percentile(late, 0.99)),
        Goal("late, most (s)", max(late, default=0.0)),
    ]
