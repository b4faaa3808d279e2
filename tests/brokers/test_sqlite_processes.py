"""Several processes on one file: they wake one another, and share what they do."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._thread import changes
from ltq.message import Envelope
from tests.eventually import eventually

PROGRAM = """
import asyncio, sys
import ltq

worker = ltq.Worker("shop", broker_url=sys.argv[1])


@worker.task
async def double(number: int) -> int:
    return 2 * number


@worker.task
async def wait_for_ever() -> None:
    print("began", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("ended", flush=True)


async def main():
    async with worker:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        worker.stop()


asyncio.run(main())
"""


def start(url: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-c", PROGRAM, url], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


@asynccontextmanager
async def worker_process(url: str) -> AsyncIterator[subprocess.Popen[str]]:
    """A worker in a process of its own."""
    process = start(url)
    try:
        assert await line_of(process) == "ready"
        yield process
        await asyncio.to_thread(process.communicate, "\n", 20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


async def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


def shop(url: str) -> tuple[ltq.Worker, ltq.Task[[int], int], ltq.Task[[], None]]:
    """The worker's tasks, to be sent from here."""
    worker = ltq.Worker("shop", broker_url=url)

    @worker.task
    async def double(number: int) -> int:
        raise NotImplementedError

    @worker.task
    async def wait_for_ever() -> None:
        raise NotImplementedError

    return worker, double, wait_for_ever


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db?sync=normal"


@pytest.mark.slow
async def test_results_come_from_another_process(url: str) -> None:
    worker, double, _ = shop(url)
    async with worker_process(url):
        handles = await double.send_many([double.message(number) for number in range(200)])
        assert await ltq.gather(*handles) == tuple(2 * number for number in range(200))
    await worker.aclose()


@pytest.mark.slow
async def test_a_cancel_reaches_the_process_that_runs_the_task(url: str) -> None:
    worker, _, wait_for_ever = shop(url)
    async with worker_process(url) as process:
        handle = await wait_for_ever.send()
        assert await line_of(process) == "began"
        await handle.cancel()
        assert await asyncio.wait_for(line_of(process), 5) == "ended"
    await worker.aclose()


@contextmanager
def two_connections(url: str) -> Iterator[tuple[SqliteBroker, SqliteBroker]]:
    """Two brokers that share no connection, as in two processes."""
    one, other = SqliteBroker(url), SqliteBroker(url)
    other._clock = lambda: one._clock()  # another clock, another thread
    yield one, other


def envelope(task_id: str) -> Envelope:
    return Envelope(id=task_id, queue="mail", task_name="mail", body=b"{}")


async def test_what_one_remembers_is_forgotten_when_another_writes(url: str) -> None:
    with two_connections(url) as (one, other):
        async with one, other, one.consumer(["mail"]) as mine, other.consumer(["mail"]) as its:
            for number in range(20):
                await (one, other)[number % 2].publish([envelope(str(number))])
            first = (await mine.claim(5)).deliveries + (await its.claim(5)).deliveries
            assert [delivery.lease.id for delivery in first] == [str(n) for n in range(10)]
            for delivery in first[:5]:
                await other.release(delivery.lease, result=b"1")
            assert await one.heartbeat([delivery.lease for delivery in first[:5]], 9) == [
                delivery.lease for delivery in first[:5]
            ]
            for broker in (one, other):
                (stats,) = await broker.stats(["mail"])
                assert (stats.pending, stats.working) == (10, 5)


async def test_who_missed_too_much_reads_all_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_NEWS", 2)
    monkeypatch.setattr(changes, "TRIM_EVERY", 1)
    with two_connections(url) as (one, other):
        async with one, other:
            await one.publish([envelope("watched")])
            ended = asyncio.ensure_future(one.wait("mail", "watched", timeout=10))
            await eventually(lambda: one._here().thread.changes.is_heard)
            await one.state("mail", "watched")
            await other.cancel("mail", "watched", 60)
            for number in range(5):
                await other.publish([envelope(str(number))])
            assert (await ended).status is ltq.Status.CANCELLED


async def test_news_are_bounded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_NEWS", 3)
    monkeypatch.setattr(changes, "TRIM_EVERY", 4)
    async with SqliteBroker(url) as broker:
        for number in range(24):
            await broker.publish([envelope(str(number))])
        count = "SELECT count(*) FROM ltq_news"
        thread = broker._here().thread
        assert await thread.call(lambda store: store.database.number(count)) <= 3 + 4
