"""Lists of tasks: pages of a queue of a million, and the memory of the list of final tasks."""

import statistics
import time

from benchmarks.stand import BenchWorker, Figures, RedisStand
from ltq.broker import Broker

_PAGES = 40
"""How often each page is read."""

_BEFORE = 100
"""How many pages of 1000 come before the later page."""


async def listing(stand: RedisStand) -> Figures:
    """Milliseconds of a page of 100 of a million, and bytes a finished task with and without list.

    The processor time is the server's.
    """
    count = stand.count(1_000_000, least=1000)
    bench = BenchWorker(stand.url)
    await bench.fill(count)
    async with Broker.from_url(stand.url) as broker:
        first = await _page(stand, broker, bench.noop.queue)
        page = await broker.tasks(bench.noop.queue, status="pending", limit=1000)
        for _ in range(min(_BEFORE, count // 2000) - 1):
            page = await broker.tasks(
                bench.noop.queue, status="pending", limit=1000, cursor=page.cursor
            )
        later = await _page(stand, broker, bench.noop.queue, page.cursor)
    await bench.worker.aclose()
    await _finished(stand, "")  # what a server allocates once is not of the tasks
    listed, bare = await _finished(stand, ""), await _finished(stand, "list_final=0")
    return {
        "first page ms": first[0],
        "server ms": first[1],
        "later page ms": later[0],
        "later server ms": later[1],
        "bytes listed": listed,
        "bytes not listed": bare,
    }


async def _page(
    stand: RedisStand, broker: Broker, queue: str, cursor: str | None = None
) -> tuple[float, float]:
    """The median of the wall time, and the processor time of the server."""
    times, before = [], await _server_time(stand)
    for _ in range(_PAGES):
        begin = time.perf_counter()
        await broker.tasks(queue, status="pending", cursor=cursor)
        times.append(1000 * (time.perf_counter() - begin))
    spent = await _server_time(stand) - before
    return statistics.median(times), 1000 * spent / _PAGES


async def _server_time(stand: RedisStand) -> float:
    used = await stand.client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def _finished(stand: RedisStand, parameter: str) -> float:
    """Bytes of each of 10 000 finished tasks."""
    await stand.client.flushdb()
    sign = "&" if "?" in stand.url else "?"
    count = stand.count(10_000)
    bench = BenchWorker(f"{stand.url}{sign}{parameter}" if parameter else stand.url)
    empty = (await stand.client.info("memory"))["used_memory"]
    await bench.fill(count)
    await bench.worker.run(burst=True)
    used = (await stand.client.info("memory"))["used_memory"]
    await bench.worker.aclose()
    return float(used - empty) / count
