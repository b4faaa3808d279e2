"""A long run on PostgreSQL: `python -m benchmarks soak --minutes 60`.

A million tasks wait, four worker processes run them, as many are sent, and a transaction elsewhere
stays open, so that nothing of what ends can be cleaned up. Each minute it prints the rate and the
sizes of the tables. It fails if the rate of a minute is below 0.6 of the first one's, or if the
live table and its indexes grow by more than what each task that has ended leaves there.
"""

import argparse
import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from psycopg import AsyncConnection, IsolationLevel

from benchmarks import databases, own
from benchmarks.comparison import announce
from benchmarks.contenders import ROOT
from benchmarks.stand import BULK, BenchWorker
from devtools.programs import find_postgres
from ltq.broker import Broker

PROCESSES = 4

LEAST = 0.6
"""Of the first minute's rate."""

MOST_BYTES = 2500
"""That each task that has ended may leave in the live table and its indexes, while nothing can be
cleaned up: it was there twice, as a task that waited and as one that was worked on."""

_SIZES = """
SELECT CASE WHEN relname LIKE 'final%' THEN 'final' ELSE relname END,
    sum(pg_total_relation_size(oid))::bigint
FROM pg_class WHERE relnamespace = 'ltq'::regnamespace AND relkind = 'r' GROUP BY 1"""

_ENDED = """
SELECT (SELECT coalesce(sum(many), 0) FROM ltq.figures WHERE name = 'completed')
    + (SELECT coalesce(sum((figures ->> 'completed')::bigint), 0) FROM ltq.counted)"""


@dataclass(frozen=True, slots=True)
class Minute:
    """What was seen at the end of one."""

    seconds: float
    ended: int
    """How many tasks have ended since the start."""
    sizes: dict[str, int]
    """Bytes of each table, with its indexes."""


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--minute", type=float, default=60.0, help="seconds of one, for a try")
    parsed = parser.parse_args(arguments)
    folder = find_postgres()
    if folder is None:
        parser.error("no PostgreSQL found: install one")
    minutes = own.run(run(folder, parsed.minutes, parsed.waiting, parsed.minute, announce))
    wrong = judge(minutes)
    for text in wrong:
        announce(text)
    return int(bool(wrong))


async def run(
    folder: Path, count: int, waiting: int, seconds: float, say: Callable[[str], None]
) -> list[Minute]:
    """Let it run for some minutes of so many seconds."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(databases.safe(folder))
        async with Broker.from_url(server.url) as broker:
            await broker.migrate()
        bench = BenchWorker(server.url)
        stack.push_async_callback(bench.worker.aclose)
        await bench.fill(waiting)
        say(f"{waiting} tasks wait")
        other = await stack.enter_async_context(_snapshot(server.url))
        look = await stack.enter_async_context(
            await AsyncConnection.connect(server.url, autocommit=True)
        )
        for _ in range(PROCESSES):
            await stack.enter_async_context(_worker(server.url))
        sending = asyncio.create_task(_refill(bench, look, waiting))
        stack.callback(sending.cancel)
        minutes = [await _seen(look)]
        for number in range(count):
            await asyncio.sleep(seconds)
            if sending.done():
                sending.result()
            minutes.append(await _seen(look))
            say(_shown(number + 1, minutes))
        await other.rollback()
    return minutes


def judge(minutes: Sequence[Minute]) -> list[str]:
    """What is not as it should be."""
    rates = [_rate(before, after) for before, after in pairwise(minutes)]
    wrong = [
        f"minute {number}: {rate:,.0f}/s is {rate / rates[0]:.2f} of the first one's"
        for number, rate in enumerate(rates, 1)
        if rate < LEAST * rates[0]
    ]
    first, last = minutes[0], minutes[-1]
    grown = (last.sizes["tasks"] - first.sizes["tasks"]) / max(1, last.ended - first.ended)
    if grown > MOST_BYTES:
        wrong.append(f"each task that ended left {grown:,.0f} bytes in the live table")
    return wrong


def _rate(before: Minute, after: Minute) -> float:
    return (after.ended - before.ended) / (after.seconds - before.seconds)


def _shown(number: int, minutes: Sequence[Minute]) -> str:
    *_, before, last = minutes
    large = sorted(last.sizes.items(), key=lambda size: -size[1])[:5]
    sizes = "  ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in large)
    return f"minute {number:3}  {_rate(before, last):8,.0f}/s  {sizes}"


async def _seen(look: AsyncConnection) -> Minute:
    sizes = await (await look.execute(_SIZES)).fetchall()
    return Minute(time.monotonic(), await _ended(look), dict(sizes))


async def _ended(look: AsyncConnection) -> int:
    row = await (await look.execute(_ENDED)).fetchone()
    assert row is not None, "a sum is there always"
    return int(row[0])


async def _refill(bench: BenchWorker, look: AsyncConnection, waiting: int) -> None:
    """Send as many tasks as have ended, from time to time."""
    sent = 0
    while True:
        await asyncio.sleep(1.0)
        ended = await _ended(look)
        while sent < ended:
            await bench.send(range(BULK))
            sent += BULK


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees all as it is now, until the end."""
    async with await AsyncConnection.connect(url) as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.execute("SELECT count(*) FROM pg_class")
        yield connection


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "benchmarks.steady", url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", "a worker did not start"
        yield process
    finally:
        if process.returncode is None:
            await process.communicate(b"end\n")
