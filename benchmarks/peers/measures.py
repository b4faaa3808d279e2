"""What is measured of each compared queue; rates are tasks a second, times milliseconds."""

import asyncio
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.peers.contender import Contender

Figures = dict[str, float]

BULK = 500
LOOPS = 32


class Size(NamedTuple):
    """How much of it."""

    drain: int = 20_000
    bulk: int = 20_000
    loops: int = 9_600
    one: int = 2_000
    latency: int = 500
    warm_up: float = 5.0
    """Seconds until a worker counts as idle: what it does at its start is no idling."""
    idle: float = 20.0
    """Seconds of idling that are measured."""


async def _fill(contender: Contender, count: int) -> None:
    for first in range(0, count, BULK):
        await contender.send_many(range(first, min(first + BULK, count)))


async def drain(contender: Contender, size: Size) -> Figures:
    """From the first run of a task to the last one, in one worker with room for 100."""
    await _fill(contender, size.drain)
    contender.tally.expect(size.drain)
    async with contender.working():
        seconds = await contender.tally.seconds()
    return {"tasks/s": (size.drain - 1) / seconds}


async def bulk(contender: Contender, size: Size) -> Figures:
    """500 a call, or where there is no such call 50 single sends at once."""
    await _fill(contender, BULK)  # connections are opened beforehand
    start = time.perf_counter()
    await _fill(contender, size.bulk)
    return {"tasks/s": size.bulk / (time.perf_counter() - start)}


async def loops(contender: Contender, size: Size) -> Figures:
    """32 loops that send one task after the other."""

    async def send(count: int) -> None:
        for number in range(count):
            await contender.send(number)

    each = max(1, size.loops // LOOPS)
    await asyncio.gather(*(send(1) for _ in range(LOOPS)))  # connections are opened beforehand
    start = time.perf_counter()
    await asyncio.gather(*(send(each) for _ in range(LOOPS)))
    return {"tasks/s": LOOPS * each / (time.perf_counter() - start)}


async def one(contender: Contender, size: Size) -> Figures:
    """One send at a time."""
    await contender.send(0)
    start = time.perf_counter()
    for number in range(size.one):
        await contender.send(number)
    return {"tasks/s": size.one / (time.perf_counter() - start)}


async def latency(contender: Contender, size: Size) -> Figures:
    """From the call that sends to the result, with an idle worker in the same process."""
    times = []
    async with contender.working():
        await contender.result(await contender.send(0))
        for number in range(size.latency):
            start = time.perf_counter()
            result = await contender.result(await contender.send(number))
            times.append((time.perf_counter() - start) * 1e3)
            if result != number:
                raise RuntimeError(f"the result of {number} was {result!r}")
    times.sort()
    return {"median ms": statistics.median(times), "p99 ms": times[int(0.99 * len(times))]}


async def idle(contender: Contender, size: Size) -> Figures:
    """The processor time of a worker with nothing to do. Who measures counts the commands."""
    async with contender.working():
        await asyncio.sleep(size.warm_up)
        print("idle", flush=True)
        start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(size.idle)
        spent, end = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        print("idled", flush=True)
    cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    return {"% of a core": 100 * cpu / (end - start)}


MEASURES: dict[str, Callable[[Contender, Size], Awaitable[Figures]]] = {
    measure.__name__: measure for measure in (drain, bulk, loops, one, latency, idle)
}
