"""One process of several that drain a queue: `python -m benchmarks.burst URL`.

It says when it is ready, starts at a line on its standard input, and tells as JSON how many tasks
it ran and when (Unix seconds) it ran the first and the last.
"""

import asyncio
import importlib
import importlib.util
import json
import sys
import time

from benchmarks.peers.contender import CONCURRENCY
from ltq import Worker
from ltq.broker import Broker

worker = Worker("bench", concurrency=CONCURRENCY)

times: list[float] = []


@worker.task(name="noop0")
async def noop(number: int) -> int:
    """Nothing at all."""
    times.append(time.time())
    return number


async def drain() -> None:
    """Wait for the start, run all there is."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await worker.run(burst=True)
    await worker.aclose()


def main() -> None:
    """Drain the queue of the server on the command line."""
    worker.broker = Broker.from_url(sys.argv[1])
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    importlib.import_module(loop).run(drain())
    span = [times[0], times[-1]] if times else None
    print(json.dumps({"count": len(times), "span": span}), flush=True)


if __name__ == "__main__":
    main()
