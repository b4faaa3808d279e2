"""PostgreSQL for measures: a server with its usual safety, databases on it, and measures there."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from benchmarks import loads, measures
from benchmarks.stand import BULK, BenchWorker, Figures, Stand
from devtools.postgres import PostgresServer
from ltq.broker import Broker
from ltq.message import Envelope
from ltq.names import new_id

_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStand(Stand):
    """An empty database."""

    server: str
    """The URL of another database on its server."""


def safe(folder: Path) -> PostgresServer:
    """A server on which what is acknowledged survives a power cut, as it does by default."""
    return PostgresServer(folder, fsync="on", synchronous_commit="on")


@contextmanager
def counting(folder: Path) -> Iterator[PostgresServer]:
    """Such a server that counts statements.

    What counts them comes with PostgreSQL, in some places as a package that is named contrib.
    """
    counts = "pg_stat_statements"
    server = PostgresServer(
        folder, fsync="on", synchronous_commit="on", shared_preload_libraries=counts
    )
    with server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE EXTENSION {counts}".encode())
        yield server


async def statements(url: str) -> int:
    """How many statements were sent to a server that counts them. This one counts too."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT sum(calls)::bigint FROM pg_stat_statements")
        row = await cursor.fetchone()
    assert row is not None, "a sum is there always"
    calls: int = row[0]
    return calls


@asynccontextmanager
async def database(server: str) -> AsyncIterator[str]:
    """A new database on a server. Gives its URL."""
    name = f"bench_{next(_numbers)}"
    async with await AsyncConnection.connect(server, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def measure(name: str, server: str, part: float) -> Figures:
    """One run of one measure, in a new database."""
    async with database(server) as url:
        async with Broker.from_url(url) as broker:
            await broker.migrate()
        return await MEASURES[name](DatabaseStand(url, part, server=server))


async def one_send(stand: Stand) -> Figures:
    """One send at a time against one INSERT of psycopg, in turns."""
    bench, times = BenchWorker(stand.url), stand.count(100)
    sends, inserts = [], []
    async with await AsyncConnection.connect(stand.url, autocommit=True) as plain:
        await plain.execute("CREATE TABLE plain (number integer)")
        insert = partial(plain.execute, "INSERT INTO plain VALUES (1)")
        for _ in range(10):
            sends.append(await _rate(partial(bench.noop.send, 1), times))
            inserts.append(await _rate(insert, times))
    await bench.worker.aclose()
    sent, inserted = statistics.median(sends), statistics.median(inserts)
    return {"tasks/s": sent, "INSERT/s": inserted, "ratio": sent / inserted}


async def _rate(call: Callable[[], Awaitable[Any]], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        await call()
    return times / (time.perf_counter() - start)


async def idle(stand: DatabaseStand) -> Figures:
    """What a worker does with nothing to do, in 20 s, and the statements that it sends."""
    return await measures.idling(stand, partial(statements, stand.server))


async def many_waiting(stand: Stand) -> Figures:
    """Calls on a schema with a million waiting tasks, against one with 10 000."""
    few, many = (f"{stand.url}?schema={name}&migrate=auto" for name in ("few", "many"))
    return await loads.few_and_many(stand, few, many)


async def counts(stand: Stand) -> Figures:
    """Milliseconds of `stats` of one queue with a million tasks, and of 1000 queues."""
    waiting, queues = stand.count(1_000_000, least=1000), stand.count(1000)
    bench = BenchWorker(stand.url)
    await bench.fill(waiting)
    names = [f"others:{number}" for number in range(queues)]
    async with Broker.from_url(stand.url) as broker:
        for first in range(0, queues, BULK):
            some = names[first : first + BULK]
            await broker.publish(
                [
                    Envelope(id=new_id(), queue=one, task_name="others:task", body=b"")
                    for one in some
                ]
            )
        large = await _median_ms(partial(broker.stats, [bench.noop.queue]))
        many = await _median_ms(partial(broker.stats, names))
    await bench.worker.aclose()
    return {"large ms": large, "many ms": many}


async def _median_ms(call: Callable[[], Awaitable[Any]]) -> float:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        await call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


async def open_snapshot(stand: Stand) -> Figures:
    """A worker's rate while a transaction elsewhere sees all as it was, against the one before.

    What ends meanwhile cannot be cleaned up. It runs five times 20 000 of a million that wait.
    """
    part, waiting = stand.count(20_000), stand.count(1_000_000, least=400)
    bench = BenchWorker(stand.url)
    await bench.fill(waiting)
    before = statistics.median([await bench.drain(part) for _ in range(3)])
    async with await AsyncConnection.connect(stand.url) as other:
        await other.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await other.execute("SELECT count(*) FROM pg_class")
        beside = [await bench.drain(part) for _ in range(5)]
        await other.rollback()
    await bench.worker.aclose()
    return {
        "before/s": before,
        "first/s": beside[0],
        "last/s": beside[-1],
        "ratio": beside[-1] / before,
    }


MEASURES: dict[str, Callable[[DatabaseStand], Awaitable[Figures]]] = {
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
        counts,
        open_snapshot,
        loads.many_tasks,
        loads.many_watchers,
    )
}
