"""LTQ by itself on a SQLite file, one coroutine a measure; each starts with a file of its own."""

import asyncio
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from benchmarks import measures, scale
from benchmarks.stand import BULK, BenchWorker, Figures, Stand
from ltq.broker import Broker
from ltq.message import Finish
from ltq.state import Status

ROOT = Path(__file__).resolve().parent.parent


async def one_send(stand: Stand) -> Figures:
    """One send at a time against one INSERT of sqlite3 that waits for the disk, in turns."""
    bench, count = BenchWorker(stand.url), stand.count(100)
    quick = BenchWorker(f"{stand.url}?sync=normal")
    sends, inserts = [], []
    with closing(_plain(stand)) as plain:
        for _ in range(10):
            sends.append(await _rate(bench, count))
            start = time.perf_counter()
            for number in range(count):
                plain.execute("INSERT INTO plain VALUES (?)", [number])
            inserts.append(count / (time.perf_counter() - start))
    await bench.worker.aclose()
    unsynced = [await _rate(quick, count) for _ in range(10)]
    await quick.worker.aclose()
    sent, inserted = statistics.median(sends), statistics.median(inserts)
    return {
        "tasks/s": sent,
        "INSERT/s": inserted,
        "ratio": sent / inserted,
        "sync=normal/s": statistics.median(unsynced),
    }


def _plain(stand: Stand) -> sqlite3.Connection:
    """Another file beside, with one table."""
    path = stand.url.removeprefix("sqlite:///") + "-plain"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE plain (number INTEGER)")
    return connection


async def _rate(bench: BenchWorker, count: int) -> float:
    start = time.perf_counter()
    for number in range(count):
        await bench.noop.send(number)
    return count / (time.perf_counter() - start)


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


async def idle(stand: Stand) -> Figures:
    """What a worker does with nothing to do, in 20 s; what it does at its start is left out."""
    bench = BenchWorker(stand.url)
    async with bench.worker:
        await asyncio.sleep(stand.seconds(5.0))
        start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(stand.seconds(20.0))
        spent, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    cpu = spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime
    return {"% of a core": 100 * cpu / elapsed}


async def many_waiting(stand: Stand) -> Figures:
    """Calls beside a million waiting tasks against the same beside 10 000, with `sync=normal`.

    A claim is one of 50, with the call that ends them. The million is added to the same file.
    """
    few, many = stand.count(10_000, least=2_000), stand.count(1_000_000, least=4_000)
    bench = BenchWorker(f"{stand.url}?sync=normal")
    await bench.fill(few)
    before = await _costs(stand, bench)
    await bench.fill(many - few)
    after = await _costs(stand, bench)
    await bench.worker.aclose()
    return {f"{name} ×": after[name] / before[name] for name in before} | {
        f"{name} ms": 1e3 * cost for name, cost in after.items()
    }


async def _costs(stand: Stand, bench: BenchWorker) -> Figures:
    """Seconds of each call, the medians."""
    claims, sends, bulks = [], [], []
    async with Broker.from_url(f"{stand.url}?sync=normal") as broker:
        async with broker.consumer([bench.noop.queue]) as consumer:
            for _ in range(stand.count(40)):
                start = time.perf_counter()
                done = (await consumer.claim(50)).deliveries
                await broker.finish([Finish(one.lease, Status.COMPLETED, b"1") for one in done])
                claims.append(time.perf_counter() - start)
        for number in range(stand.count(500)):
            start = time.perf_counter()
            await bench.noop.send(number)
            sends.append(time.perf_counter() - start)
        for _ in range(stand.count(40)):
            start = time.perf_counter()
            await bench.send(range(BULK))
            bulks.append(time.perf_counter() - start)
    return {
        "claim": statistics.median(claims),
        "send": statistics.median(sends),
        "bulk": statistics.mean(bulks),  # the log is moved into the file at some of them
    }


MEASURES: dict[str, Callable[[Stand], Awaitable[Figures]]] = {
    measure.__name__: measure
    for measure in (
        measures.drain,
        measures.send_many,
        measures.concurrent_sends,
        one_send,
        measures.latency,
        answered,
        measures.lateness,
        idle,
        scale.floor,
        many_waiting,
        scale.many_tasks,
        scale.many_watchers,
    )
}


async def measure(name: str, part: float) -> Figures:
    """One run of one measure, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
        return await MEASURES[name](Stand(f"sqlite:///{folder}/jobs.db", part))
