"""How quickly the items of streams reach their readers: `python -m benchmarks streams`.

A worker in a process of its own yields, this process reads, over one server. An item carries the
time at which it was yielded, so the latency is from the `yield` to the reader's code. Each reader
checks that it gets each item once, in order.
"""

import argparse
import asyncio
import multiprocessing
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import redis

import ltq
from benchmarks import own
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer

RATE = 50
"""Items a second of a stream that is measured for its latency."""

LATE = 10_000
"""Items of a stream that is read at once when it has ended."""

MANY_READERS, CUT_READERS = 10_000, 1_000

Item = tuple[int, float]
"""Its number, and when it was yielded."""


def make_worker(url: str) -> tuple[ltq.Worker[None], ltq.StreamTask[[int, float], Item]]:
    """The worker of both processes, and its task: so many items, with pauses between them."""
    worker = ltq.Worker("streams", broker_url=url)

    @worker.task(max_items=1_000_000)
    async def tick(count: int, pause: float) -> AsyncIterator[Item]:
        begin = time.monotonic()
        for number in range(count):
            if pause:
                await asyncio.sleep(begin + number * pause - time.monotonic())
            yield number, time.monotonic()

    return worker, tick


class Bench:
    """This process: it sends, and reads."""

    def __init__(self, url: str, scale: float) -> None:
        self.worker, self.tick = make_worker(url)
        self.scale = scale
        self.client = redis.Redis.from_url(url)

    def many(self, full: int, least: int = 5) -> int:
        """So much of what is `full` in a full run."""
        return max(least, round(full * self.scale))

    async def latency(self, streams: int) -> str:
        """From the yield to the reader, with so many streams at once."""
        seconds: list[float] = []

        async def read() -> None:
            handle = await self.tick.send(self.many(1000), 1 / RATE)
            numbers = []
            async for number, yielded in handle.stream(timeout=own.PATIENCE):
                seconds.append(time.monotonic() - yielded)
                numbers.append(number)
            assert numbers == [*range(self.many(1000))]

        await asyncio.gather(*(read() for _ in range(streams)))
        seconds.sort()
        p50, p99 = (1000 * seconds[int(share * len(seconds))] for share in (0.5, 0.99))
        return f"{streams} × {RATE}/s   p50 {p50:.2f} ms   p99 {p99:.2f} ms"

    async def late(self) -> str:
        """All items at once, of a stream that has ended."""
        count = self.many(LATE)
        handle = await self.tick.send(count, 0.0)
        await handle.result(own.PATIENCE)
        state = await handle.state()
        took = (state.release_time or 0.0) - (state.last_dequeue_time or 0.0)
        best = min([await self._timed(handle, count) for _ in range(5)])
        rate = f"{count / took:,.0f} items/s written"
        return f"late reader   {count} items in {1000 * best:.1f} ms   {rate}"

    async def _timed(self, handle: ltq.StreamHandle[Item], count: int) -> float:
        begin = time.perf_counter()
        items = await handle.collect(own.PATIENCE)
        seconds = time.perf_counter() - begin
        assert [number for number, _ in items] == [*range(count)]
        return seconds

    async def readers(self) -> str:
        """Many readers of one stream, and how many connections they have."""
        readers, count = self.many(MANY_READERS), 20
        handle = await self.tick.send(count, 0.25)

        async def read() -> None:
            numbers = [number async for number, _ in handle.stream(timeout=own.PATIENCE)]
            assert numbers == [*range(count)]

        reading = asyncio.gather(*(read() for _ in range(readers)))
        await asyncio.sleep(2)
        clients = len(self.client.client_list(_type="pubsub")) - 1  # the worker has one
        await reading
        return f"{readers} readers of one stream   {clients} connection(s) that wait for items"

    async def resumed(self) -> str:
        """Readers that stop again and again, and go on behind their cursors."""
        readers, count = self.many(CUT_READERS), 200
        handle = await self.tick.send(count, 0.01)
        cuts = 0

        async def read(chance: random.Random) -> None:
            nonlocal cuts
            numbers: list[int] = []
            cursor: str | None = None
            while len(numbers) < count:
                stream = self.tick.handle(handle.id).stream(after=cursor, timeout=own.PATIENCE)
                for _ in range(chance.randint(1, 60)):
                    try:
                        numbers.append((await anext(stream))[0])
                    except StopAsyncIteration:
                        break
                cursor = stream.cursor
                await stream.aclose()
                cuts += 1
            assert numbers == [*range(count)]

        await asyncio.gather(*(read(random.Random(number)) for number in range(readers)))
        return f"{readers} readers, stopped and resumed {cuts} times   no gap, no double"


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks streams", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a try")
    parsed = parser.parse_args(arguments)
    executable = find_redis_server()
    if executable is None:
        parser.error("no redis-server found: install one")
    with RedisServer(executable) as server, _worker(server.url):
        own.run(measure(server.url, parsed.scale, print))
    return 0


async def measure(url: str, scale: float, say: Callable[[str], object]) -> None:
    """Run all measures against the worker that runs there."""
    bench = Bench(url, scale)
    measures: list[Callable[[], Awaitable[str]]] = [
        lambda: bench.latency(1),
        lambda: bench.latency(50),
        bench.late,
        bench.readers,
        bench.resumed,
    ]
    await (await bench.tick.send(10, 0.0)).result(own.PATIENCE)
    for one in measures:
        say(await one())
    await bench.worker.aclose()


def _run_worker(url: str) -> None:
    worker, _ = make_worker(url)
    asyncio.run(worker.run())


@contextmanager
def _worker(url: str) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_run_worker, args=[url])
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()
