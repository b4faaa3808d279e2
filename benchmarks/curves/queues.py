"""Queues of one worker that are not empty: a claim and a send beside so many of them."""

import statistics
from collections.abc import Sequence
from functools import partial

from benchmarks.curves.curve import Curve, Points, place
from benchmarks.stand import BenchWorker
from benchmarks.turns import CLAIMED, claims, in_turns

ROUNDS = 40

_SENT = 1000
"""Most tasks of one call that sends."""


async def queues(url: str, sizes: Sequence[int]) -> Points:
    """Milliseconds. The queues are in stores of their own, which take turns."""
    benches = [BenchWorker(place(url, number), tasks=size) for number, size in enumerate(sizes)]
    waiting = CLAIMED * max(ROUNDS + 2, *sizes)
    for bench in benches:
        await _fill(bench, waiting)
    places = [(one.worker.broker, [task.queue for task in one.tasks]) for one in benches]
    claimed = await claims(places, ROUNDS)
    sent = await in_turns([partial(one.noop.send, 0) for one in benches], 5 * ROUNDS)
    for bench in benches:
        await bench.worker.aclose()
    return {
        size: {
            f"claim of {CLAIMED}": 1e3 * statistics.median(claimed[number]),
            "send": 1e3 * statistics.median(sent[number]),
        }
        for number, size in enumerate(sizes)
    }


async def _fill(bench: BenchWorker, waiting: int) -> None:
    """Let so many wait in all queues together: in each as many as a claim takes, or more."""
    each = -(-waiting // len(bench.tasks))
    for task in bench.tasks:
        for first in range(0, each, _SENT):
            some = range(first, min(first + _SENT, each))
            await task.send_many([task.message(number) for number in some])


CURVE = Curve(
    name="queues",
    axis="queues that are not empty",
    unit="ms",
    sizes=(10, 100, 1_000),
    full=(10, 100, 1_000, 10_000),
    measure=queues,
)
