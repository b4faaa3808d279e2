"""Tasks that wait: a claim, a send, a cancellation and a page of a list beside so many."""

import random
import statistics
from collections.abc import Iterator, Sequence
from functools import partial

from redis.asyncio import Redis

import ltq
from benchmarks.curves.curve import Curve, Points, place
from benchmarks.stand import BULK, BenchWorker
from benchmarks.turns import CLAIMED, claims, in_turns

ROUNDS = 40

LOOKUPS = 1000
"""Those of one call that moves a table on."""


async def waiting(url: str, sizes: Sequence[int]) -> Points:
    """Milliseconds. The tasks are in stores of their own, which take turns."""
    benches = [BenchWorker(place(url, number)) for number in range(len(sizes))]
    victims = [await _fill(bench, size) for bench, size in zip(benches, sizes, strict=True)]
    for number, size in enumerate(sizes):
        await _settle(place(url, number), size)
    claimed = await claims([(one.worker.broker, [one.noop.queue]) for one in benches], ROUNDS)
    sent = await in_turns([partial(one.noop.send, 0) for one in benches], 5 * ROUNDS)
    pages = [partial(one.worker.broker.tasks, one.noop.queue, status="pending") for one in benches]
    listed = await in_turns(pages, ROUNDS)
    ends = [partial(_cancel, iter(handles)) for handles in victims]
    cancelled = await in_turns(ends, min(map(len, victims)))
    for bench in benches:
        await bench.worker.aclose()
    steps = {"claim of 50": claimed, "send": sent, "cancel one": cancelled, "a page": listed}
    return {
        size: {name: 1e3 * statistics.median(times[number]) for name, times in steps.items()}
        for number, size in enumerate(sizes)
    }


async def _fill(bench: BenchWorker, count: int) -> list[ltq.Handle[int]]:
    """Let so many wait behind those that claims will take. Gives some of them, from anywhere."""
    await bench.fill(CLAIMED * (ROUNDS + 2))
    kept = list[ltq.Handle[int]]()
    for first in range(0, count, BULK):
        handles = await bench.send(range(first, min(first + BULK, count)))
        kept += random.sample(handles, min(3, len(handles)))
    random.shuffle(kept)
    return kept[:ROUNDS]


async def _settle(url: str, count: int) -> None:
    """Let Redis finish moving its table of so many keys to a larger one.

    It moves a little at each lookup, and until that is done each lookup costs more. So what a table
    costs while it grows is no cost of its size. Other stores have no such table.
    """
    if url.startswith("redis:"):
        async with Redis.from_url(url) as client:
            for _ in range(0, 2 * count, LOOKUPS):
                await client.exists(*["none"] * LOOKUPS)


async def _cancel(handles: Iterator[ltq.Handle[int]]) -> None:
    assert await next(handles).cancel(), "it does not wait any more"


CURVE = Curve(
    name="waiting",
    axis="tasks that wait",
    unit="ms",
    sizes=(10_000, 100_000),
    full=(10_000, 100_000, 1_000_000, 10_000_000),
    measure=waiting,
)
