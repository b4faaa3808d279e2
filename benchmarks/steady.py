"""A worker in a process of its own: `python -m benchmarks.steady URL`.

It says when it is ready, and ends at a line on its standard input.
"""

import asyncio
import sys

from benchmarks.own import run
from benchmarks.stand import BenchWorker


async def work(url: str) -> None:
    """Run the no-op tasks of the queue until told to end."""
    bench = BenchWorker(url)
    async with bench.worker:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        bench.worker.stop()


if __name__ == "__main__":
    run(work(sys.argv[1]))
