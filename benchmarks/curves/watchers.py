"""Open watches of other tasks in the worker's process: what a task of it costs beside them."""

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing

from benchmarks.curves.curve import Curve, Points
from benchmarks.stand import BenchWorker

TASKS = 5_000
ROUNDS = 3


async def watchers(url: str, sizes: Sequence[int]) -> Points:
    """Microseconds a task that is run, from the first to the last."""
    bench, others = BenchWorker(url), BenchWorker(url, "others")
    handles = await others.send(range(max(sizes)))
    points: Points = {}
    async with AsyncExitStack() as stack:
        opened = 0
        for size in sorted(sizes):
            some = [handle.watch() for handle in handles[opened:size]]
            watches = [await stack.enter_async_context(aclosing(one)) for one in some]
            await asyncio.gather(*(anext(watch) for watch in watches))
            opened = size
            points[size] = {"a task run": 1e6 / await _rate(bench)}
    await others.worker.aclose()
    await bench.worker.aclose()
    return points


async def _rate(bench: BenchWorker) -> float:
    rates = []
    for _ in range(ROUNDS):
        await bench.fill(TASKS)
        rates.append(await bench.drain(TASKS))
    return statistics.median(rates)


CURVE = Curve(
    name="watchers",
    axis="open watches",
    unit="µs",
    sizes=(1, 100, 1_000),
    full=(1, 10, 100, 1_000, 10_000),
    measure=watchers,
)
