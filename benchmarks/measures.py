"""LTQ by itself, one coroutine a measure; each starts from an empty server."""

import asyncio
import importlib
import resource
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable

from benchmarks import loads
from benchmarks.contenders import ROOT
from benchmarks.listing import listing
from benchmarks.stand import BULK, BenchWorker, Figures, RedisStand, Stand
from benchmarks.steering import steering


async def drain(stand: Stand) -> Figures:
    """20 000 no-ops through one worker, concurrency 100, default middleware, results kept.

    Starting and stopping the worker is in the time.
    """
    count = stand.count(20_000)
    bench = BenchWorker(stand.url)
    await bench.fill(count)
    start = time.perf_counter()
    await bench.worker.run(burst=True)
    seconds = time.perf_counter() - start
    await bench.worker.aclose()
    return {"tasks/s": count / seconds}


async def send_many(stand: Stand) -> Figures:
    """Bulk sends, 500 a call, arguments checked and encoded in the time."""
    count = stand.count(20_000)
    bench = BenchWorker(stand.url)
    start = time.perf_counter()
    for first in range(0, count, BULK):
        await bench.send(range(first, min(first + BULK, count)))
    seconds = time.perf_counter() - start
    await bench.worker.aclose()
    return {"tasks/s": count / seconds}


async def concurrent_sends(stand: Stand) -> Figures:
    """32 loops that send one task after the other."""
    loops, each = 32, stand.count(300, least=2)
    bench = BenchWorker(stand.url)

    async def send() -> None:
        for number in range(each):
            await bench.noop.send(number)

    start = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(loops)))
    seconds = time.perf_counter() - start
    await bench.worker.aclose()
    return {"tasks/s": loops * each / seconds}


async def one_send(stand: RedisStand) -> Figures:
    """One send at a time against one plain HSET of redis-py, in turns."""
    bench = BenchWorker(stand.url)
    count = stand.count(200)
    sends, hsets = [], []
    for _ in range(10):
        sends.append(await _rate(lambda: bench.noop.send(1), count))
        hsets.append(await _rate(lambda: stand.client.hset("plain", "field", "1"), count))
    await bench.worker.aclose()
    sent, hset = statistics.median(sends), statistics.median(hsets)
    return {"tasks/s": sent, "HSET/s": hset, "ratio": sent / hset}


async def _rate(call: Callable[[], Awaitable[object]], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        await call()
    return count / (time.perf_counter() - start)


async def latency(stand: Stand) -> Figures:
    """From `send` to the result, an idle worker in the same process."""
    bench = BenchWorker(stand.url)
    times = []
    async with bench.worker:
        for number in range(stand.count(1000)):
            start = time.perf_counter()
            await (await bench.noop.send(number)).result(timeout=5)
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return {"median ms": statistics.median(times), "p99 ms": times[int(0.99 * len(times))]}


async def answered(stand: Stand) -> Figures:
    """From `send` to the result, an idle worker in another process."""
    bench, times = BenchWorker(stand.url), []
    command = [sys.executable, "-m", "benchmarks.steady", stand.url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n", "the worker did not start"
        for number in range(stand.count(1000)):
            start = time.perf_counter()
            await (await bench.noop.send(number)).result(timeout=5)
            times.append((time.perf_counter() - start) * 1e3)
        await process.communicate(b"end\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    await bench.worker.aclose()
    times.sort()
    return {"median ms": statistics.median(times), "p99 ms": times[int(0.99 * len(times))]}


async def lateness(stand: Stand) -> Figures:
    """How late delayed tasks start."""
    bench = BenchWorker(stand.url)
    delays = [0.2 + 0.01 * number for number in range(stand.count(100))]
    async with bench.worker:
        delayed = [bench.noop.with_options(delay=delay) for delay in delays]
        handles = [await task.send(number) for number, task in enumerate(delayed)]
        states = [await handle.wait(timeout=10) for handle in handles]
    late = sorted(
        1e3 * ((state.last_dequeue_time or 0) - (state.enqueue_time or 0) - delay)
        for delay, state in zip(delays, states, strict=True)
    )
    return {"median ms": statistics.median(late), "p99 ms": late[int(0.985 * len(late))]}


async def waiters(stand: RedisStand) -> Figures:
    """10 000 handles awaited at once."""
    bench = BenchWorker(stand.url)
    handles = await bench.send(range(stand.count(10_000)))
    start = time.perf_counter()
    async with bench.worker:
        waits = [asyncio.ensure_future(handle.result(timeout=60)) for handle in handles]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        connections = len(await stand.client.client_list(_type="pubsub"))
        results = await asyncio.gather(*waits)
    lost = sum(result != number for number, result in enumerate(results))
    return {
        "seconds": time.perf_counter() - start,
        "lost": lost,
        "Pub/Sub connections": connections,
    }


async def memory(stand: RedisStand) -> Figures:
    """Redis memory for a waiting and a finished task, int argument and result."""
    count = stand.count(20_000)
    bench = BenchWorker(stand.url)
    empty = await _used_memory(stand)
    await bench.fill(count)
    waiting = await _used_memory(stand)
    await bench.worker.run(burst=True)
    finished = await _used_memory(stand)
    await bench.worker.aclose()
    return {
        "bytes waiting": (waiting - empty) / count,
        "bytes finished": (finished - empty) / count,
    }


async def _used_memory(stand: RedisStand) -> int:
    used: int = (await stand.client.info("memory"))["used_memory"]
    return used


async def idle(stand: RedisStand) -> Figures:
    """What a worker does with nothing to do, in 20 s."""
    return await idling(stand, lambda: _commands(stand))


async def idling(stand: Stand, count: Callable[[], Awaitable[int]] | None = None) -> Figures:
    """A worker with nothing to do, in 20 s; what it does at its start is left out.

    `count` gives how many commands the server has processed; it costs one itself.
    """
    bench, figures = BenchWorker(stand.url), Figures()
    async with bench.worker:
        await asyncio.sleep(stand.seconds(5.0))
        before = 0 if count is None else await count()
        start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(stand.seconds(20.0))
        spent, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
        if count is not None:
            figures["commands/s"] = (await count() - before - 1) / elapsed
    cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    return {**figures, "% of a core": 100 * cpu / elapsed}


async def _commands(stand: RedisStand) -> int:
    """How many commands the server processed, those in scripts counted."""
    processed: int = (await stand.client.info("stats"))["total_commands_processed"]
    return processed


async def web(stand: Stand) -> Figures:
    """The dashboard: see `benchmarks/dashboard.py`, which needs httpx."""
    figures: Figures = await importlib.import_module("benchmarks.dashboard").web(stand)
    return figures


MEASURES: dict[str, Callable[[RedisStand], Awaitable[Figures]]] = {
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
        listing,
        steering,
        web,
        loads.floor,
        loads.many_waiting,
        loads.many_tasks,
        loads.many_processes,
        loads.many_watchers,
    )
}
