"""The server is killed and started again, or replies are lost, under a steady load."""

import asyncio
import time
from collections import Counter
from contextlib import suppress

from devtools.chaos import remains
from devtools.chaos.figures.goal import Goal
from devtools.chaos.load import SORTS, Load
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile, say
from ltq.testing.conformance._support.eventually import eventually

_SOON = 2.0
_AWAY = (0.2, 0.5, 1.0, 2.0)
_DROP_SHARE = 0.1
_BEAT = 0.02
_DRAINED = 60.0

_PLAIN = tuple(sort for sort in SORTS if sort.name in ("instant", "work", "delayed"))


async def restarts(seconds: float, count: int, seed: int) -> list[Goal]:
    """kill -9 of a Redis with AOF, again and again."""
    took: list[float] = []
    async with RedisStage(lease=5.0) as stage:
        await stage.start_workers(2, stage.server.url)
        load = _load(seed, stage, proxied=False)
        for number in range(count):
            began, away = time.monotonic(), _AWAY[number % len(_AWAY)]
            await asyncio.to_thread(stage.server.kill)
            await asyncio.sleep(away)
            await asyncio.to_thread(stage.server.start)
            back, line = await stage.answers(), stage.ledger.count()
            await stage.told(line + 1)
            took.append(stage.ledger.since(line)[0].time - back)
            say(f"restart {number + 1}: {away} s away, consuming again after {took[-1]:.3f} s")
            await asyncio.sleep(seconds / count - (time.monotonic() - began))
        await load.stop()
        hung = await load.finish(_DRAINED)
        died = [worker.pid for worker in stage.fleet.workers if worker.exit_code is not None]
    notes = load.notes
    return [
        Goal("restarts", len(took)),
        Goal("sends acknowledged", len(notes.sent)),
        Goal("sends refused", len(notes.refused)),
        Goal("acknowledged and lost", _not_completed(load), 0),
        Goal("waiters without an answer", len(hung), 0),
        Goal("workers that died", len(died), 0),
        Goal("consuming again, median (s)", percentile(took, 0.5)),
        Goal("consuming again, longest (s)", max(took), _SOON),
    ]


async def drops(seconds: float, seed: int) -> list[Goal]:
    """One reply in ten is lost, of workers and producers alike."""
    async with RedisStage(lease=5.0, seed=seed) as stage:
        await stage.start_workers(2, stage.proxy.url)
        load = _load(seed, stage, proxied=True)
        stage.proxy.drop_share = _DROP_SHARE
        for second in range(0, int(seconds), 10):
            await asyncio.sleep(min(10.0, seconds - second))
            sent, lost = len(load.notes.sent), stage.proxy.dropped
            say(f"{min(second + 10, seconds):g} s: {sent} sent, {lost} replies lost")
        await load.stop()
        stage.proxy.drop_share = 0.0
        hung = await load.finish(_DRAINED)
        with suppress(AssertionError):
            await eventually(lambda: not remains.left_in(stage.admin), 20.0)
        left = remains.left_in(stage.admin)
        runs = Counter(event.id for event in stage.ledger.events("start"))
        lost = stage.proxy.dropped
    for told in left:
        say(told)
    notes = load.notes
    again = {task_id: count for task_id, count in runs.items() if count > 1}
    return [
        Goal("replies lost", lost),
        Goal("sends acknowledged", len(notes.sent)),
        Goal("sends refused", len(notes.refused)),
        Goal("waits repeated", notes.asked_again),
        Goal("acknowledged and lost", _not_completed(load), 0),
        Goal("waiters without an answer", len(hung), 0),
        Goal(f"tasks that ran more than once {sorted(again)[:5]}", len(again), 0),
        Goal("leases and other keys left over", len(left), 0),
    ]


def _load(seed: int, stage: RedisStage, *, proxied: bool) -> Load:
    broker = stage.remote if proxied else stage.direct
    load = Load(seed, [broker], producers=4, sorts=_PLAIN)
    load.start(_BEAT)
    return load


def _not_completed(load: Load) -> int:
    wanted = {(sent.id, sent.sort.ends) for sent in load.notes.sent.values()}
    found = {(task_id, state.status) for task_id, state in load.notes.answers.items()}
    return len(wanted - found)
