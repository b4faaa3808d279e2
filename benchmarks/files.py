"""LTQ by itself on a SQLite file, one coroutine a measure; each starts with a file of its own."""

import asyncio
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

from benchmarks import measures, scale
from benchmarks.dashboard import web
from benchmarks.stand import BULK, BenchWorker, Figures, Stand
from ltq.broker import Broker, Consumer
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
    """Calls on a file with a million waiting tasks against one with 10 000, with `sync=normal`.

    A claim is one of 50, with the call that ends them. The files take turns, so that a machine that
    changes meanwhile counts for both.
    """
    counts = stand.count(10_000, least=2_000), stand.count(1_000_000, least=4_000)
    urls = [f"{stand.url}-{count}?sync=normal" for count in counts]
    benches = [BenchWorker(url) for url in urls]
    for bench, count in zip(benches, counts, strict=True):
        await bench.fill(count)
    claims = await _claims(benches, stand.count(40))
    sends = await _in_turns([partial(one.noop.send, 0) for one in benches], stand.count(500))
    bulks = await _in_turns([partial(one.send, range(BULK)) for one in benches], stand.count(40))
    for bench in benches:
        await bench.worker.aclose()
    few, many = (
        {
            "claim": statistics.median(claims[number]),
            "send": statistics.median(sends[number]),
            "bulk": statistics.mean(bulks[number]),  # some of them move the log into the file
        }
        for number in range(2)
    )
    return {f"{name} ×": many[name] / few[name] for name in few} | {
        f"{name} ms": 1e3 * cost for name, cost in many.items()
    }


async def _claims(benches: Sequence[BenchWorker], rounds: int) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        calls = []
        for bench in benches:
            broker = bench.worker.broker
            consumer = await stack.enter_async_context(broker.consumer([bench.noop.queue]))
            calls.append(partial(_claim, broker, consumer))
        return await _in_turns(calls, rounds)


async def _claim(broker: Broker, consumer: Consumer) -> None:
    done = (await consumer.claim(50)).deliveries
    assert len(done) == 50, "tasks are missing"
    await broker.finish([Finish(one.lease, Status.COMPLETED, b"1") for one in done])


async def _in_turns(
    calls: Sequence[Callable[[], Awaitable[object]]], rounds: int
) -> list[list[float]]:
    """The seconds of each call, made so many times. Each comes first in turn."""
    seconds: list[list[float]] = [[] for _ in calls]
    for first in range(rounds):
        for number in range(len(calls)):
            index = (first + number) % len(calls)
            start = time.perf_counter()
            await calls[index]()
            seconds[index].append(time.perf_counter() - start)
    return seconds


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
        web,
    )
}


async def measure(name: str, part: float) -> Figures:
    """One run of one measure, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
        return await MEASURES[name](Stand(f"sqlite:///{folder}/jobs.db", part))
