"""Very many delayed tasks, very many of them due at the same moment."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis

from devtools.chaos import jobs
from devtools.chaos.figures.goal import Goal
from devtools.chaos.figures.probe import Probe, Wait
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile, say
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts.calls import SCRIPTS
from ltq.brokers.redis._scripts.texts import sha
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Envelope, new_id
from ltq.testing.conformance._support.eventually import eventually

_BATCH = 500
_SENDERS = 4
_LATER = 7200.0
_LEAD = 25.0
"""Seconds from the last of the early tasks being filled in to the due time, per 100 000."""

_STALL = 10.0
_MOVED = 5.0
_ROUNDED = 0.001
_SLOW = 1000
"""Microseconds from which on the server notes a call."""


@dataclass(frozen=True)
class Slow:
    """A call the server noted as slow."""

    name: str
    milliseconds: float


async def due(count: int, share: float) -> list[Goal]:
    """`share` of `count` tasks become due at once, while a worker runs."""
    at_once = int(count * share)
    async with RedisStage(arguments=()) as stage:
        moment = time.time() + _LATER
        await _fill(stage.direct, count - at_once, moment)
        moment = time.time() + max(5.0, _LEAD * at_once / 100_000)
        await _fill(stage.direct, at_once, moment)
        (worker,) = await stage.start_workers(1, stage.server.url)
        say(f"{moment - time.time():.1f} s left until {at_once} are due")
        stage.admin.config_set("slowlog-log-slower-than", _SLOW)
        stage.admin.config_set("slowlog-max-len", 100_000)
        stage.admin.slowlog_reset()
        with Probe(stage.server.port, stage.server.pid) as probe:
            await asyncio.sleep(moment - 0.5 - time.time())
            calm = probe.taken()
            moved = await _moved(stage.admin, moment)
            await _emptied(stage.admin)
            ran = time.time() - moment
            busy = probe.taken()
        slow = slow_calls(stage.admin)
        assert worker.exit_code is None, worker.log()[-2000:]
    for name in sorted({one.name for one in slow}):
        taken = [one.milliseconds for one in slow if one.name == name]
        half, most = percentile(taken, 0.5), max(taken)
        say(f"of more than 1 ms: {len(taken)} {name}, median {half:.1f}, longest {most:.1f} ms")
    return [
        Goal("delayed tasks, due at once", f"{count}, {at_once}"),
        Goal("all moved after (s)", moved, _MOVED),
        Goal("all run after (s)", ran),
        Goal("longest PING before, but for what the machine held up (ms)", _own(calm), _STALL),
        Goal("longest PING meanwhile, but for that (ms)", _own(busy), _STALL),
        Goal("PING before, p99.9 and longest (ms)", _shown(calm)),
        Goal("PING meanwhile, p99.9 and longest (ms)", _shown(busy)),
        Goal("longest call by the server's clock (ms)", _longest(slow)),
        Goal("calls of more than 5 ms, of how many PINGs", f"{_over(slow, 5.0)}, {len(busy)}"),
    ]


async def _fill(broker: RedisBroker, count: int, moment: float) -> None:
    """Through several connections at once."""
    began, starts = time.monotonic(), iter(range(0, count, _BATCH))

    async def send(starts: Iterator[int]) -> None:
        for start in starts:
            await broker.publish([_envelope(moment) for _ in range(min(_BATCH, count - start))])
            if start % 100_000 == 0 and start:
                say(f"{start} filled in, {start / (time.monotonic() - began):.0f} per second")

    await asyncio.gather(*(send(starts) for _ in range(_SENDERS)))


def _envelope(moment: float) -> Envelope:
    name = jobs.nothing.name
    return Envelope(id=new_id(), queue=name, task_name=name, body=b"{}", eta=moment, result_ttl=0)


async def _moved(client: redis.Redis, moment: float) -> float:
    """Seconds from the due time until no task that is due is in the delayed set."""
    key = keys.delayed(jobs.NAME, jobs.nothing.queue)
    await asyncio.sleep(moment - time.time())
    await eventually(
        lambda: not client.zcount(key, "-inf", repr(moment + _ROUNDED)), 120.0, "all moved"
    )
    return time.time() - moment


async def _emptied(client: redis.Redis) -> None:
    """Wait until what was due has been run."""
    key = keys.ready(jobs.NAME, jobs.nothing.queue, 1)
    await eventually(lambda: not client.exists(key), 300.0, "all run")


def slow_calls(client: redis.Redis) -> list[Slow]:
    """What the server noted, scripts by their names."""
    names = {sha(name): name for name in SCRIPTS}
    found = []
    for entry in client.slowlog_get(100_000):
        words = entry["command"].decode("utf-8", "replace").split(" ")
        name = names.get(words[1], words[0]) if len(words) > 1 else words[0]
        found.append(Slow(name, entry["duration"] / 1000))
    return found


def _longest(slow: list[Slow]) -> float:
    return max((one.milliseconds for one in slow), default=0.0)


def _over(slow: list[Slow], milliseconds: float) -> int:
    return sum(one.milliseconds > milliseconds for one in slow)


def _own(waits: list[Wait]) -> float:
    return max((wait.own for wait in waits), default=0.0)


def _shown(waits: list[Wait]) -> str:
    whole = [wait.whole for wait in waits]
    return f"{percentile(whole, 0.999):.1f}, {max(whole, default=0.0):.1f}"
