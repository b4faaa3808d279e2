"""LTQ by itself on a SQLite file, one coroutine a measure; each starts with a file of its own."""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

from benchmarks import loads, measures
from benchmarks.stand import BenchWorker, Figures, Stand


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


async def idle(stand: Stand) -> Figures:
    """What a worker does with nothing to do, in 20 s."""
    return await measures.idling(stand)


async def many_waiting(stand: Stand) -> Figures:
    """Calls on a file with a million waiting tasks, against one with 10 000; `sync=normal`."""
    few, many = (f"{stand.url}-{name}?sync=normal" for name in ("few", "many"))
    return await loads.few_and_many(stand, few, many)


MEASURES: dict[str, Callable[[Stand], Awaitable[Figures]]] = {
    measure.__name__: measure
    for measure in (
        measures.drain,
        measures.send_many,
        measures.concurrent_sends,
        one_send,
        measures.latency,
        measures.answered,
        measures.lateness,
        idle,
        loads.floor,
        many_waiting,
        loads.many_tasks,
        loads.many_watchers,
        measures.web,
    )
}


async def measure(name: str, part: float) -> Figures:
    """One run of one measure, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
        return await MEASURES[name](Stand(f"sqlite:///{folder}/jobs.db", part))
