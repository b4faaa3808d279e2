"""Run measures several times and print the medians.

    python -m benchmarks [MEASURE ...] [--runs N]

Needs a redis-server on PATH: one is started for the run, on a free loopback port.
"""

import argparse
import importlib
import importlib.util
import statistics

import redis.asyncio

from benchmarks.measures import MEASURES, Figures, worker
from ltq.broker import Broker
from tests.servers import RedisServer, find_redis_server

loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
run = importlib.import_module(loop).run


async def measure(name: str, url: str) -> Figures:
    """One run of one measure, on an emptied server."""
    client = redis.asyncio.Redis.from_url(url, protocol=2)
    await client.flushall()
    worker.broker = Broker.from_url(url)
    try:
        return await MEASURES[name](client)
    finally:
        await worker.aclose()
        await client.aclose()


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    unknown = set(arguments.measures) - set(MEASURES)
    if unknown:
        parser.error(f"unknown measure {min(unknown)!r}: one of {', '.join(MEASURES)}")
    executable = find_redis_server()
    if executable is None:
        parser.error("no redis-server found: install one")
    with RedisServer(executable) as server:
        for name in arguments.measures:
            runs = [run(measure(name, server.url)) for _ in range(arguments.runs)]
            figures = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
            shown = "   ".join(
                f"{key} {value:,.3g}" if value < 100 else f"{key} {value:,.0f}"
                for key, value in figures.items()
            )
            print(f"{name:18} {shown}", flush=True)


if __name__ == "__main__":
    main()
