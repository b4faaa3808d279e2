"""A process that is killed at any point: what it acknowledged is there, and all is told."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope
from ltq.state import Status

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, os, signal, sys
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.records import SqliteRecords
from ltq.brokers.sqlite._thread import thread
from ltq.brokers.sqlite._thread.changes import Changes
from ltq.message import Envelope, Finish
from ltq.state import Status

url, point = sys.argv[1:]


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def arm():
    if point == "before the rows":
        SqliteRecords.flush = die
    elif point == "before the commit":
        Database.commit = die
    elif point == "before it is told":
        Changes.tell = die
    elif point == "before the answer":
        thread.settle = die


async def main():
    broker = SqliteBroker(url)
    consumer = broker.consumer(["mail"])
    (delivery,) = (await consumer.claim(1)).deliveries
    await broker.ping()  # others have heard of the claim by now
    print("claimed", flush=True)
    sys.stdin.readline()
    arm()
    send = broker.publish([Envelope(id="next", queue="mail", task_name="mail", body=b"{}")])
    finish = broker.finish([Finish(delivery.lease, Status.COMPLETED, result=b"1")])
    await asyncio.gather(send, finish)


asyncio.run(main())
"""

POINTS = {
    "before the rows": False,
    "before the commit": False,
    "before it is told": True,
    "before the answer": True,
}
"""Where the process dies, and whether its changes are in the file then."""


def start(url: str, point: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-c", PROGRAM, url, point], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@asynccontextmanager
async def claimed(broker: SqliteBroker, point: str) -> AsyncIterator[subprocess.Popen[str]]:
    """A process that has claimed the task `first`, and dies when it is told to go on."""
    envelope = Envelope(id="first", queue="mail", task_name="mail", body=b"{}")
    await broker.publish([envelope])
    with start(broker.url, point) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "claimed\n"
        yield process


async def _go_on(process: subprocess.Popen[str]) -> None:
    _, errors = await asyncio.to_thread(process.communicate, "\n", 20)
    assert process.returncode == -9, errors


@pytest.mark.parametrize("point", POINTS)
async def test_all_of_a_transaction_is_there_or_none(tmp_path: Path, point: str) -> None:
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker:
        async with claimed(broker, point) as process:
            await _go_on(process)
        first, after = await broker.states("mail", ["first", "next"])
        assert first is not None
        assert first.status is (Status.COMPLETED if POINTS[point] else Status.WORKING)
        assert (after is not None) == POINTS[point]
        (stats,) = await broker.stats(["mail"])
        assert (stats.pending, stats.working) == ((1, 0) if POINTS[point] else (0, 1))


@pytest.mark.parametrize("point", [point for point, is_kept in POINTS.items() if is_kept])
async def test_others_are_told_of_what_is_there(tmp_path: Path, point: str) -> None:
    async with (
        SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker,
        claimed(broker, point) as process,
        broker.consumer(["mail"]) as consumer,
    ):
        ended = asyncio.ensure_future(broker.wait("mail", "first", timeout=10))
        given = asyncio.ensure_future(broker.claim(consumer, timeout=10))
        await _go_on(process)
        assert (await ended).result == b"1"
        assert [delivery.lease.id for delivery in await given] == ["next"]


async def test_its_tasks_are_taken_over(tmp_path: Path) -> None:
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker:
        now = broker._clock()
        async with claimed(broker, "before the commit") as process:
            await _go_on(process)
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=lambda: now + 60) as later:
        consumer = later.consumer(["mail"])
        (delivery,) = (await consumer.claim(1)).deliveries
        assert (delivery.lease.id, delivery.deaths) == ("first", 1)
