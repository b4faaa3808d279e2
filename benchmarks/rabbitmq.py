"""RabbitMQ in front of a store: `python -m benchmarks rabbitmq`.

sends: confirmed sends a second with 500 in flight, over Redis and over SQLite; latency: from `send`
to the result with an idle worker, over SQLite; away: Redis is killed and comes back after some
time, under load; kills: RabbitMQ is killed again and again under load, over SQLite.

In the last two a task is lost if its send succeeded and it has not run, and doubled if it has run
twice, but for what ran when the store was killed: the end of such a run was not written.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import ltq
from benchmarks import own
from benchmarks.stand import BenchWorker, Figures
from devtools.programs import find_rabbitmq
from devtools.rabbitmq import RabbitServer
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer

IN_FLIGHT = 500
SENDERS = 16
"""Loops that send under load, each with a pause between two."""

_PAUSE = 0.02
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
_DRAINED = 120.0
"""Seconds in which all that was sent has to run once everything is back."""


@dataclass(frozen=True)
class Place:
    """The servers of a run. `sqlite` is a URL of a new file, `redis` of an empty server."""

    rabbit: RabbitServer
    redis: RedisServer
    folder: str
    seconds: float
    kills: int
    count: int

    def url(self, state: str) -> str:
        """RabbitMQ in front of this store, with queues that nobody has used before."""
        return f"{self.rabbit.url}?prefix=bench{time.monotonic_ns()}&state={state}"

    @property
    def sqlite(self) -> str:
        return f"sqlite:///{self.folder}/{time.monotonic_ns()}.db"


async def sends(place: Place) -> Figures:
    """500 loops of single sends. Nothing runs."""
    found: Figures = {}
    for name, state in (("over redis", place.redis.url), ("over sqlite", place.sqlite)):
        bench = BenchWorker(place.url(state), "bench")
        await bench.noop.send(0)
        left = iter(range(place.count))

        async def send(bench: BenchWorker = bench, left: Iterator[int] = left) -> None:
            for number in left:
                await bench.noop.send(number)

        began, used = time.monotonic(), time.process_time()
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        found[f"sent/s {name}"] = place.count / (time.monotonic() - began)
        found[f"µs a send {name}"] = (time.process_time() - used) / place.count * 1e6
        await bench.worker.aclose()
    return found


async def latency(place: Place) -> Figures:
    """One task after another."""
    bench = BenchWorker(place.url(place.sqlite), "bench")
    took = []
    async with bench.worker:
        for number in range(min(place.count, 500)):
            began = time.monotonic()
            assert await (await bench.noop.send(number)).result(timeout=30) == number
            took.append((time.monotonic() - began) * 1e3)
    took.sort()
    return {"p50 ms": took[len(took) // 2], "p99 ms": took[len(took) * 99 // 100]}


async def away(place: Place) -> Figures:
    """The store is killed, and comes back as it was."""

    async def hurt() -> None:
        await asyncio.to_thread(place.redis.kill)
        await asyncio.sleep(place.seconds)
        await asyncio.to_thread(place.redis.start)

    return await _under_load(place.url(place.redis.url), hurt)


async def kills(place: Place) -> Figures:
    """RabbitMQ is killed, and started at once."""

    async def hurt() -> None:
        for _ in range(place.kills):
            await asyncio.to_thread(place.rabbit.kill)
            await asyncio.to_thread(place.rabbit.start)
            await asyncio.sleep(2.0)

    return await _under_load(place.url(place.sqlite), hurt)


@dataclass
class _Load:
    """What was sent and what has run."""

    sent: int = 0
    left: set[int] = field(default_factory=set)
    """Sent, and not run so far."""
    failed: int = 0
    runs: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    is_over: bool = False
    has_run: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once all is over and has run."""

    def ran(self, number: int) -> None:
        self.runs[number] += 1
        self.left.discard(number)
        self.look()

    def look(self) -> None:
        """See whether anything is left."""
        if self.is_over and not self.left:
            self.has_run.set()

    async def send(self, task: ltq.Task[[int], None], first: int) -> None:
        number = first
        while not self.is_over:
            began = time.monotonic()
            try:
                await task.send(number)
            except ltq.BrokerError:
                self.failed += 1
            else:
                self.sent += 1
                if number not in self.runs:
                    self.left.add(number)
            self.slowest = max(self.slowest, time.monotonic() - began)
            number += SENDERS
            await asyncio.sleep(_PAUSE)


async def _under_load(url: str, hurt: Callable[[], Awaitable[None]]) -> Figures:
    worker, load = ltq.Worker("bench", broker_url=url), _Load()

    @worker.task(result_ttl=600)
    async def note(number: int) -> None:
        load.ran(number)

    async with worker:
        sending = [asyncio.create_task(load.send(note, first)) for first in range(SENDERS)]
        await asyncio.sleep(1.0)
        await hurt()
        await asyncio.sleep(1.0)
        load.is_over = True
        await asyncio.gather(*sending)
        load.look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED):
                await load.has_run.wait()
        await asyncio.sleep(1.0)  # what runs twice has done so by now
    await worker.aclose()
    doubled = sum(count > 1 for count in load.runs.values())
    return {
        "sent": load.sent,
        "failed": load.failed,
        "lost": len(load.left),
        "doubled": doubled,
        "slowest send s": load.slowest,
    }


MEASURES: Mapping[str, Callable[[Place], Awaitable[Figures]]] = {
    "sends": sends,
    "latency": latency,
    "away": away,
    "kills": kills,
}


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks rabbitmq",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--count", type=int, default=20_000, help="tasks that are sent")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which the store is away")
    parser.add_argument("--kills", type=int, default=10, help="of RabbitMQ")
    parsed = parser.parse_args(arguments)
    unknown = set(parsed.measures) - set(MEASURES)
    if unknown:
        parser.error(f"unknown measure {min(unknown)!r}: one of {', '.join(MEASURES)}")
    rabbit, redis = find_rabbitmq(), find_redis_server()
    if rabbit is None or redis is None:
        parser.error("no rabbitmq-server or no redis-server found: install both")
    with RabbitServer(rabbit) as server:
        for name in parsed.measures or MEASURES:
            with ExitStack() as stack:
                settings = _DURABLE if name == "away" else ()
                place = Place(
                    rabbit=server,
                    redis=stack.enter_context(RedisServer(redis, *settings)),
                    folder=stack.enter_context(tempfile.TemporaryDirectory()),
                    seconds=parsed.seconds,
                    kills=parsed.kills,
                    count=parsed.count,
                )
                print(f"{name:10} {own.shown(own.run(MEASURES[name](place)))}", flush=True)
    return 0
