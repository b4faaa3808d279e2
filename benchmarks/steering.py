"""Steering a large queue: cancels, the counts of many queues, and how soon a pause holds."""

import asyncio
import random
import statistics
import time

from benchmarks.stand import BenchWorker, Figures, RedisStand
from ltq.broker import Broker
from ltq.message import Envelope
from ltq.names import new_id

_CANCELS = 2000
"""How many tasks are cancelled one by one, picked at random."""

_READS = 20
"""How often the counts are read."""

_PAUSES = 20
"""How often a worker's queue is paused."""


async def steering(stand: RedisStand) -> Figures:
    """Milliseconds of one cancel of a million, of the longest script of `cancel_many` for every
    tenth of them, of `stats` of 1000 queues, and from `pause` to the last task that begins after
    it.
    """
    return {
        **await _cancels(stand),
        **await _counts(stand),
        **await _pauses(stand),
    }


async def _cancels(stand: RedisStand) -> Figures:
    count = stand.count(1_000_000, least=1000)
    bench = BenchWorker(stand.url)
    tagged = bench.noop.with_options(tags=["tenth"])
    handles = []
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        sent = [(tagged if number % 10 == 0 else bench.noop).message(number) for number in numbers]
        handles += await bench.noop.send_many(sent)
    times = []
    async with Broker.from_url(stand.url) as broker:
        for handle in random.sample(handles, min(_CANCELS, count // 10)):
            begin = time.perf_counter()
            await broker.cancel(handle.queue, handle.id, 60.0)
            times.append(1000 * (time.perf_counter() - begin))
        await stand.client.config_set("slowlog-log-slower-than", 500)
        await stand.client.slowlog_reset()
        begin = time.perf_counter()
        cancelled = await broker.cancel_many(bench.noop.queue, tag="tenth")
        spent = time.perf_counter() - begin
        slow = await stand.client.slowlog_get(1000)
        await stand.client.config_set("slowlog-log-slower-than", 10_000)
    await bench.worker.aclose()
    return {
        "one cancel ms": statistics.median(times),
        "longest script ms": max((one["duration"] / 1000 for one in slow), default=0.5),
        "cancelled/s": cancelled / spent,
    }


async def _counts(stand: RedisStand) -> Figures:
    await stand.client.flushdb()
    queues = [f"bench:queue{number}" for number in range(stand.count(1000))]
    async with Broker.from_url(stand.url) as broker:
        await broker.publish([_task(queue) for queue in queues])
        times = []
        for _ in range(_READS):
            begin = time.perf_counter()
            await broker.stats(queues)
            times.append(1000 * (time.perf_counter() - begin))
    return {"stats ms": statistics.median(times)}


def _task(queue: str) -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name="bench:noop0", body=b"[[1],{}]")


async def _pauses(stand: RedisStand) -> Figures:
    """The longest of all: tasks that had been claimed may still begin."""
    await stand.client.flushdb()
    bench = BenchWorker(stand.url)
    begun = 0.0

    @bench.worker.task(queue="bench:paused")
    async def note(number: int) -> None:
        nonlocal begun
        begun = time.perf_counter()
        await asyncio.sleep(0.001)

    longest = 0.0
    async with Broker.from_url(stand.url) as broker, bench.worker:
        for _ in range(_PAUSES):
            await note.send_many([note.message(number) for number in range(2000)])
            await asyncio.sleep(stand.seconds(0.05, 0.02))
            await broker.pause("bench:paused")
            held = time.perf_counter()
            await asyncio.sleep(0.1)
            longest = max(longest, begun - held)
            await broker.clear("bench:paused")
            await broker.resume("bench:paused")
    return {"pause ms": 1000 * max(0.0, longest)}
