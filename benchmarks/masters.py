"""What a cluster of several masters carries: `python -m benchmarks masters`.

Workers of several names send tasks and run them, on one server and on clusters of 2 and 4 masters.
What is measured is the processor time that each master spends on a task from its sending to its
end: unlike a rate, it says how much masters on machines of their own would carry together.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from benchmarks import own
from benchmarks.stand import BenchWorker
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer

MASTERS = (1, 2, 4)

NAMES = 16
"""Workers of so many names, each a namespace and so a slot of its own."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor time of the masters, in microseconds a task of all names together."""

    masters: int
    whole: float
    """Of all masters."""
    busiest: float
    """Of the one that spends most."""

    @property
    def carries(self) -> float:
        """Tasks a second when the busiest master is busy all the time."""
        return 1e6 / self.busiest


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks masters", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000, help="of all names together")
    parsed = parser.parse_args(arguments)
    executable = find_redis_server()
    if executable is None:
        parser.error("no redis-server found: install one")
    for masters in MASTERS:
        with _servers(executable, masters) as (url, servers):
            print(shown(own.run(spend(url, servers, parsed.tasks))), flush=True)
    return 0


def shown(spent: Spent) -> str:
    """On one line."""
    return (
        f"masters {spent.masters}   µs a task {spent.whole:.1f}   "
        f"of the busiest {spent.busiest:.1f}   carries {spent.carries:,.0f} tasks/s"
    )


async def spend(url: str, servers: Sequence[RedisServer], tasks: int) -> Spent:
    """Send this many tasks and run them, name after name."""
    before = [_seconds(server) for server in servers]
    each = tasks // NAMES
    for number in range(NAMES):
        bench = BenchWorker(url, f"bench-{number}")
        async with asyncio.timeout(own.PATIENCE):
            await bench.fill(each)
            await bench.drain(each)
        await bench.worker.aclose()
    spent = [
        (_seconds(server) - start) * 1e6 / (each * NAMES)
        for server, start in zip(servers, before, strict=True)
    ]
    return Spent(len(servers), sum(spent), max(spent))


@contextmanager
def _servers(executable: str, masters: int) -> Iterator[tuple[str, Sequence[RedisServer]]]:
    if masters == 1:
        with RedisServer(executable) as server:
            yield server.url, [server]
    else:
        with ClusterSet(executable, masters=masters, replicas=0) as cluster:
            yield cluster.url, cluster.nodes


def _seconds(server: RedisServer) -> float:
    """Processor time of a server since its start."""
    with redis.Redis.from_url(server.url) as client:
        used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
