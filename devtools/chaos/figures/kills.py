"""kill -9 of workers: nothing is lost or done twice over, and what they held runs again soon."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import ltq
from devtools.chaos import jobs
from devtools.chaos.evidence import Evidence
from devtools.chaos.figures.goal import Goal
from devtools.chaos.load import Notes
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile, say
from devtools.chaos.squad import Squad
from devtools.chaos.stage import through
from devtools.ledger import Event
from ltq.testing.conformance._support.eventually import eventually

_BATCH = 500
_DRAINED = 180.0
_ROUNDS = 5
_HELD = 20
_UNWRITTEN = 0.1
"""Seconds for which the outcome of a run that has ended may not be written yet."""


@dataclass(frozen=True)
class Kill:
    """A process that was killed, and when."""

    pid: int
    time: float


async def kills(seconds: float, count: int, seed: int) -> list[Goal]:
    """One of four workers every second, while they run tasks of 0 to 200 ms."""
    chance, lease = Random(seed), 15.0
    async with RedisStage(lease=lease) as stage, Squad(stage, 4) as squad:
        work = through(jobs.work, stage.direct)
        messages = [work.message(n, round(chance.uniform(0.0, 0.2), 3)) for n in range(count)]
        sending = asyncio.create_task(_send(work, messages, seconds))
        killed = await _kill(stage, squad, chance, seconds)
        states = [await _answer(handle, _DRAINED) for handle in await sending]
        evidence = Evidence(stage.ledger.events(), Notes(), [], squad.lives)
    completed = [state for state in states if state is not None and _is_completed(state)]
    running = sum(_held(evidence.events, kill, 0.0) for kill in killed)
    unwritten = sum(_held(evidence.events, kill, _UNWRITTEN) for kill in killed)
    extra = sum(len(runs) - 1 for runs in evidence.starts.values())
    return [
        Goal("lease (s)", lease),
        Goal("workers killed", len(killed)),
        Goal("tasks sent", count),
        Goal("tasks lost", count - len(completed), 0),
        Goal("tasks whose result is not of their last run", _stale(completed, evidence), 0),
        Goal("runs", sum(map(len, evidence.starts.values()))),
        Goal("running at the kills", running),
        Goal(f"extra runs, of those and what ended {_UNWRITTEN} s before", extra, unwritten),
    ]


async def recovery(rounds: int, seed: int) -> list[Goal]:
    """From the kill of a worker to the next run of what it ran, with the default lease."""
    chance, took = Random(seed), list[float]()
    async with RedisStage() as stage:
        for number in range(rounds or _ROUNDS):
            url = stage.server.url
            (victim,) = await stage.start_workers(1, url, "--concurrency", str(_HELD))
            work, line = through(jobs.work, stage.direct), stage.ledger.count()
            handles = await work.send_many([work.message(n, 3600.0) for n in range(_HELD)])
            await stage.told(line + _HELD)
            await asyncio.sleep(chance.uniform(0.0, 5.0))
            heir = await stage.start_worker(url, "--concurrency", str(_HELD))
            await heir.logged(f"worker {jobs.NAME}:")
            killed = time.time()
            await victim.kill()
            line += _HELD
            await stage.told(line + _HELD, 40)
            again = [event.time - killed for event in stage.ledger.since(line)]
            took += again
            say(f"round {number + 1}: run again after {min(again):.2f} to {max(again):.2f} s")
            for handle in handles:
                await handle.cancel()
            await heir.kill()
    return [
        Goal("tasks taken over", len(took)),
        Goal("median (s)", percentile(took, 0.5)),
        Goal("longest (s)", max(took), 17.0),
    ]


async def _send(
    work: ltq.Task[[int, float], jobs.Run],
    messages: Sequence[ltq.Message[jobs.Run]],
    seconds: float,
) -> list[ltq.Handle[jobs.Run]]:
    """Spread over most of the time, so that there is work at every kill."""
    handles: list[ltq.Handle[jobs.Run]] = []
    for start in range(0, len(messages), _BATCH):
        handles += await work.send_many(messages[start : start + _BATCH])
        await asyncio.sleep(0.95 * seconds * _BATCH / len(messages))
    return handles


async def _kill(stage: RedisStage, squad: Squad, chance: Random, seconds: float) -> list[Kill]:
    await eventually(lambda: stage.ledger.count() > 0, 30, "the first task")
    killed: list[Kill] = []
    for number in range(int(seconds)):
        await asyncio.sleep(1.0)
        place = chance.randrange(len(squad.current))
        worker = squad.current[place]
        if worker is not None and worker.exit_code is None:
            killed.append(Kill(worker.pid, time.time()))
            squad.kill(place)
        if number % 10 == 9:
            say(f"{number + 1} s: {len(killed)} kills, {stage.ledger.count()} lines")
    return killed


async def _answer(handle: ltq.Handle[jobs.Run], timeout: float) -> ltq.TaskState[jobs.Run] | None:
    try:
        return await handle.wait(timeout)
    except ltq.LtqError as error:
        say(f"{handle.id}: {error!r}")
        return None


def _is_completed(state: ltq.TaskState[jobs.Run]) -> bool:
    return state.status is ltq.Status.COMPLETED


def _held(events: Sequence[Event], kill: Kill, unwritten: float) -> int:
    """How many tasks a process had started and not ended, or ended so shortly before."""
    mine = [event for event in events if event.pid == kill.pid]
    written = kill.time - unwritten
    over = {event.id for event in mine if event.what == "end" and event.time < written}
    return len({event.id for event in mine if event.what == "start"} - over)


def _stale(completed: Sequence[ltq.TaskState[jobs.Run]], evidence: Evidence) -> int:
    """Results that no run gave, or that an older run gave than the last one."""
    wrong = 0
    for state in completed:
        run, starts = state.result, evidence.starts.get(state.id, [])
        ends = {(event.pid, event.token) for event in evidence.ends.get(state.id, [])}
        right = run is not None and (run.pid, run.token) in ends
        wrong += not (right and run is not None and run.token == max(e.token for e in starts))
    return wrong
