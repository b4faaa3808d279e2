"""Worker processes that claim in turn: what a task costs when so many of them share the work."""

from collections.abc import Sequence

from benchmarks.curves.curve import Curve, Points, place
from benchmarks.loads import drain_together
from benchmarks.stand import BenchWorker

TASKS = 20_000


async def workers(url: str, sizes: Sequence[int]) -> Points:
    """Microseconds a task, from the first run anywhere to the last."""
    points: Points = {}
    for number, size in enumerate(sizes):
        bench = BenchWorker(place(url, number))
        await bench.fill(TASKS)
        await bench.worker.aclose()
        rate = await drain_together(place(url, number), size, TASKS)
        points[size] = {"a task run": 1e6 / rate}
    return points


CURVE = Curve(
    name="workers",
    axis="worker processes",
    unit="µs",
    sizes=(1, 2, 4),
    full=(1, 2, 4, 8, 16, 32, 64, 100),
    measure=workers,
)
