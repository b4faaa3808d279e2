"""What is measured of each compared queue; rates are tasks a second, times milliseconds.

Whatever a measure sends has to run, or it gives no figure.
"""

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
    warm_up: float = 8.0
    """Seconds until a worker counts as idle: what it does at its start is no idling."""
    idle: float = 33.0
    """Seconds of idling that are measured."""


async def _fill(contender: Contender, first: int, end: int) -> None:
    for start in range(first, end, BULK):
        await contender.send_many(range(start, min(start + BULK, end)))


async def _drained(contender: Contender, count: int) -> float:
    """Let a worker run the tasks with the numbers below this. Raises if any of them does not run.

    Seconds from the first run to the last.
    """
    contender.expect(count)
    async with contender.working():
        return await contender.all_delivered()


async def drain(contender: Contender, size: Size) -> Figures:
    """From the first run of a task to the last one, in one worker with room for 100."""
    await _fill(contender, 0, size.drain)
    return {"tasks/s": (size.drain - 1) / await _drained(contender, size.drain)}


async def bulk(contender: Contender, size: Size) -> Figures:
    """500 a call, or where there is no such call 50 single sends at once."""
    await _fill(contender, 0, BULK)  # connections are opened beforehand
    start = time.perf_counter()
    await _fill(contender, BULK, BULK + size.bulk)
    seconds = time.perf_counter() - start
    await _drained(contender, BULK + size.bulk)
    return {"tasks/s": size.bulk / seconds}


async def loops(contender: Contender, size: Size) -> Figures:
    """32 loops that send one task after the other."""

    async def send(first: int, count: int) -> None:
        for number in range(first, first + count):
            await contender.send(number)

    each = max(1, size.loops // LOOPS)
    await asyncio.gather(*(send(loop, 1) for loop in range(LOOPS)))  # opens connections
    start = time.perf_counter()
    await asyncio.gather(*(send(LOOPS + loop * each, each) for loop in range(LOOPS)))
    seconds = time.perf_counter() - start
    await _drained(contender, LOOPS + LOOPS * each)
    return {"tasks/s": LOOPS * each / seconds}


async def one(contender: Contender, size: Size) -> Figures:
    """One send at a time."""
    await contender.send(0)
    start = time.perf_counter()
    for number in range(1, 1 + size.one):
        await contender.send(number)
    seconds = time.perf_counter() - start
    await _drained(contender, 1 + size.one)
    return {"tasks/s": size.one / seconds}


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
