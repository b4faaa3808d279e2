"""One coroutine a measure; each starts from an empty server and returns figures by name."""

import asyncio
import resource
import statistics
import time
from collections.abc import Awaitable, Callable

import redis.asyncio

import ltq

Figures = dict[str, float]

worker = ltq.Worker("bench", concurrency=100)


@worker.task
async def noop(number: int) -> int:
    """Nothing at all."""
    return number


def _messages(count: int) -> list[ltq.Message[int]]:
    return [noop.message(number) for number in range(count)]


async def _fill(count: int) -> float:
    """Send `count` tasks, 500 a call; seconds it took, without making the messages."""
    messages = _messages(count)
    start = time.perf_counter()
    for first in range(0, count, 500):
        await noop.send_many(messages[first : first + 500])
    return time.perf_counter() - start


async def drain(client: redis.asyncio.Redis) -> Figures:
    """20 000 no-ops through one worker, concurrency 100, default middleware, results kept."""
    count = 20_000
    await _fill(count)
    start = time.perf_counter()
    await worker.run(burst=True)
    return {"tasks/s": count / (time.perf_counter() - start)}


async def send_many(client: redis.asyncio.Redis) -> Figures:
    """Bulk sends, 500 a call, arguments checked and encoded in the time."""
    count = 20_000
    start = time.perf_counter()
    for first in range(0, count, 500):
        await noop.send_many([noop.message(number) for number in range(first, first + 500)])
    return {"tasks/s": count / (time.perf_counter() - start)}


async def concurrent_sends(client: redis.asyncio.Redis) -> Figures:
    """32 loops that send one task after the other."""
    loops, each = 32, 300

    async def send() -> None:
        for number in range(each):
            await noop.send(number)

    start = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(loops)))
    return {"tasks/s": loops * each / (time.perf_counter() - start)}


async def one_send(client: redis.asyncio.Redis) -> Figures:
    """One send at a time against one plain HSET of redis-py, in turns."""
    sends, hsets = [], []
    for _ in range(10):
        sends.append(await _rate(lambda: noop.send(1), 200))
        hsets.append(await _rate(lambda: client.hset("plain", "field", "1"), 200))
    sent, hset = statistics.median(sends), statistics.median(hsets)
    return {"tasks/s": sent, "HSET/s": hset, "ratio": sent / hset}


async def _rate(call: Callable[[], Awaitable[object]], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        await call()
    return count / (time.perf_counter() - start)


async def latency(client: redis.asyncio.Redis) -> Figures:
    """From `send` to the result, an idle worker in the same process."""
    times = []
    async with worker:
        for number in range(1000):
            start = time.perf_counter()
            await (await noop.send(number)).result(timeout=5)
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return {"median ms": times[500], "p99 ms": times[990]}


async def lateness(client: redis.asyncio.Redis) -> Figures:
    """How late delayed tasks start."""
    async with worker:
        delayed = [noop.with_options(delay=0.2 + 0.01 * number) for number in range(100)]
        handles = [await task.send(number) for number, task in enumerate(delayed)]
        states = [await handle.wait(timeout=10) for handle in handles]
    late = sorted(
        1e3 * ((state.last_dequeue_time or 0) - (state.enqueue_time or 0) - 0.2 - 0.01 * number)
        for number, state in enumerate(states)
    )
    return {"median ms": late[50], "p99 ms": late[98]}


async def waiters(client: redis.asyncio.Redis) -> Figures:
    """10 000 handles awaited at once."""
    count = 10_000
    handles = await noop.send_many(_messages(count))
    start = time.perf_counter()
    async with worker:
        waits = [asyncio.ensure_future(handle.result(timeout=60)) for handle in handles]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        connections = len(await client.client_list(_type="pubsub"))
        results = await asyncio.gather(*waits)
    lost = sum(result != number for number, result in enumerate(results))
    return {
        "seconds": time.perf_counter() - start,
        "lost": lost,
        "Pub/Sub connections": connections,
    }


async def idle(client: redis.asyncio.Redis) -> Figures:
    """What a worker does with nothing to do, in 10 s."""
    seconds = 10.0
    async with worker:
        await asyncio.sleep(1)
        before, start = (
            (await client.info("stats"))["total_commands_processed"],
            time.perf_counter(),
        )
        used = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(seconds)
        spent = resource.getrusage(resource.RUSAGE_SELF)
        after = (await client.info("stats"))["total_commands_processed"]
    elapsed = time.perf_counter() - start
    cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    return {"commands/s": (after - before - 1) / elapsed, "% of a core": 100 * cpu / elapsed}


async def memory(client: redis.asyncio.Redis) -> Figures:
    """Redis memory for a waiting and a finished task, int argument and result."""
    count = 20_000
    empty = (await client.info("memory"))["used_memory"]
    await _fill(count)
    waiting = (await client.info("memory"))["used_memory"]
    await worker.run(burst=True)
    finished = (await client.info("memory"))["used_memory"]
    return {
        "bytes waiting": (waiting - empty) / count,
        "bytes finished": (finished - empty) / count,
    }


MEASURES: dict[str, Callable[[redis.asyncio.Redis], Awaitable[Figures]]] = {
    measure.__name__: measure
    for measure in (
        drain,
        send_many,
        concurrent_sends,
        one_send,
        latency,
        lateness,
        waiters,
        memory,
        idle,
    )
}
