"""A file that cannot be used for a while: locked by others, full, damaged, deleted, replaced."""

import asyncio
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file import database
from ltq.errors import BrokerError
from ltq.message import Envelope, Published
from ltq.state import Status
from tests.elapse import elapse

pytestmark = pytest.mark.slow


def envelope(task_id: str, body: bytes = b"{}") -> Envelope:
    return Envelope(id=task_id, queue="mail", task_name="mail", body=body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def broker(path: Path) -> SqliteBroker:
    return SqliteBroker(f"sqlite:///{path}?sync=normal")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another application holds the lock of a file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


async def test_a_locked_file_is_waited_for(broker: SqliteBroker, path: Path) -> None:
    async with broker:
        await broker.publish([envelope("1")])
        with locked(path):
            sent = asyncio.ensure_future(broker.publish([envelope("2")]))
            await elapse(0.2, "the file stays locked")
            assert not sent.done()
        assert await sent == [Published.CREATED]


async def test_a_file_that_stays_locked_is_away(
    broker: SqliteBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_PATIENCE", 0.2)
    async with broker:
        await broker.publish([envelope("1")])
        with locked(path):
            with pytest.raises(
                BrokerError, match=f"{path} is locked by another connection"
            ) as caught:
                await broker.publish([envelope("2")])
            assert caught.value.is_away
        assert await broker.publish([envelope("2")]) == [Published.CREATED]


async def test_a_worker_goes_on_when_the_file_is_free_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_PATIENCE", 0.1)
    worker = ltq.Worker("mail", broker_url=f"sqlite:///{path}?sync=normal")
    began, may_end = asyncio.Event(), asyncio.Event()

    @worker.task
    async def work(number: int) -> int:
        began.set()
        await may_end.wait()
        return number

    async with worker:
        handle = await work.send(7)
        await began.wait()
        with locked(path):
            may_end.set()
            with pytest.raises(BrokerError):
                await work.send(8)
        assert await handle.result(timeout=10) == 7
        state = await handle.state()
        assert state.dequeue_count == 1


async def test_leases_are_not_taken_back_right_after_an_outage(
    broker: SqliteBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_PATIENCE", 0.1)
    now = 1000.0
    broker._clock = lambda: now
    async with broker:
        await broker.publish([envelope("1")])
        holder, other = broker.consumer(["mail"], lease=15), broker.consumer(["mail"])
        (delivery,) = (await holder.claim(1)).deliveries
        with locked(path), pytest.raises(BrokerError):
            await broker.publish([envelope("2")])
        now += 30.0  # the lease has ended, but nobody could renew it
        claim = await other.claim(1)
        assert (claim.deliveries, claim.due_in) == ([], 2.0)
        assert await broker.heartbeat([delivery.lease], 15) == []
        now += 10.0
        assert (await other.claim(1)).deliveries == []
        now += 10.0
        assert [one.lease.id for one in (await other.claim(1)).deliveries] == ["1"]


@contextmanager
def no_room(path: Path, more: int) -> Iterator[None]:
    """No file of this process may grow beyond the size that this one has, and some bytes more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(one.stat().st_size for one in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_what_is_too_much_and_loses_nothing(
    broker: SqliteBroker, path: Path
) -> None:
    async with broker, broker.consumer(["mail"]) as consumer:
        await broker.publish([envelope("1")])
        (delivery,) = (await consumer.claim(1)).deliveries
        with no_room(path, 200_000):
            with pytest.raises(BrokerError, match=str(path)):
                await broker.publish([envelope("2", bytes(1_000_000))])
            assert await broker.publish([envelope("3")]) == [Published.CREATED]
            await broker.release(delivery.lease, result=b"1")
        assert await broker.publish([envelope("2", bytes(1_000_000))]) == [Published.CREATED]
        (stats,) = await broker.stats(["mail"])
        assert (stats.pending, stats.working) == (2, 0)
        assert (await broker.state("mail", "1")).status is Status.COMPLETED


def damage(path: Path) -> bytes:
    """Overwrite all but the first and the last page. Returns what is there then."""
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    return bytes(content)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_damaged_file_is_told_and_not_made_anew(broker: SqliteBroker, path: Path) -> None:
    async with broker:
        await broker.publish([envelope(f"id{number}", bytes(500)) for number in range(500)])
    damaged = damage(path)
    async with broker:
        with pytest.raises(BrokerError, match=f"{path} is damaged.*restore it") as caught:
            await broker.publish([envelope("more")])
        assert not caught.value.is_away
    assert damaged[4096:] == content_of(path)[4096:]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_another_file_at_the_path_is_used_from_now_on(
    broker: SqliteBroker, path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.ERROR)
    async with broker:
        await broker.publish([envelope("old")])
        if how == "replaced":
            other = path.with_name("other.db")
            async with SqliteBroker(f"sqlite:///{other}") as another:
                await another.publish([envelope("new")])
            shutil.move(other, path)
        else:
            os.unlink(path)
        for end in ("-wal", "-shm"):
            os.unlink(f"{path}{end}")
        assert await broker.publish([envelope("more")]) == [Published.CREATED]
        states = await broker.states("mail", ["old", "new", "more"])
        assert [state is not None for state in states] == [False, how == "replaced", True]
    assert f"{path} was deleted or replaced while it was open" in caplog.text
    async with broker:  # closing the old connection has removed nothing of the new file
        assert (await broker.state("mail", "more")).status is Status.PENDING


async def test_a_watcher_learns_that_its_task_is_gone_with_the_file(
    broker: SqliteBroker, path: Path
) -> None:
    async with broker:
        await broker.publish([envelope("old")])
        watched = broker.watch("mail", "old", timeout=10)
        await anext(watched)
        os.unlink(path)
        await broker.publish([envelope("new")])
        with pytest.raises(ltq.TaskNotFoundError):
            await anext(watched)


async def test_a_log_that_is_removed_takes_no_later_task_with_it(
    broker: SqliteBroker, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker:
        await broker.publish([envelope("1")])
        for name in ("wal", "shm"):
            await asyncio.to_thread(os.unlink, f"{path}-{name}")
        assert await broker.publish([envelope("2")]) == [Published.CREATED]
        assert f"{path}-wal was deleted or replaced" in caplog.text
        await asyncio.to_thread(assert_holds, path, 2)


async def test_a_program_that_reads_the_file_by_itself_makes_nobody_lose_tasks(
    broker: SqliteBroker, path: Path
) -> None:
    """When it closes the file, all locks of the process are gone."""
    async with broker:
        await broker.publish([envelope("1")])
        await asyncio.to_thread(path.read_bytes)
        await asyncio.to_thread(assert_holds, path, 1)  # it removes the log, as nobody has locks
        assert await broker.publish([envelope("2")]) == [Published.CREATED]
        await asyncio.to_thread(assert_holds, path, 2)


OTHER = """
import asyncio, sys
from functools import partial
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope


async def main() -> None:
    async with SqliteBroker(f"sqlite:///{sys.argv[1]}") as broker:
        mail = partial(Envelope, queue="mail", task_name="mail", body=b"")
        await broker.publish([mail(id=f"other-{number}") for number in range(20)])


asyncio.run(main())
"""


@pytest.mark.parametrize("locks", ["held", "dropped"])
@pytest.mark.parametrize("calls", [0, 1])
async def test_what_others_write_after_a_log_was_removed_stays(
    path: Path, caplog: pytest.LogCaptureFixture, locks: str, calls: int
) -> None:
    """What the removed log had does not come over it, whether by a call or at the end."""
    async with SqliteBroker(f"sqlite:///{path}") as broker:
        await broker.publish([envelope("kept")])
    async with SqliteBroker(f"sqlite:///{path}") as broker:
        await broker.publish([envelope(f"removed-{number}") for number in range(7)])
        if locks == "dropped":  # so that the other process moves its log into the file
            await asyncio.to_thread(path.read_bytes)
        for name in ("wal", "shm"):
            await asyncio.to_thread(os.unlink, f"{path}-{name}")
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, str(path))
        assert await other.wait() == 0
        for _ in range(calls):
            assert await broker.publish([envelope("later")]) == [Published.CREATED]
    await asyncio.to_thread(assert_holds, path, 1 + 20 + calls)
    assert "what only its old log had is lost" in caplog.text


async def test_what_only_a_removed_log_had_is_saved_at_the_end(
    broker: SqliteBroker, path: Path
) -> None:
    async with broker:
        await broker.publish([envelope("1")])
        for name in ("wal", "shm"):
            await asyncio.to_thread(os.unlink, f"{path}-{name}")
    await asyncio.to_thread(assert_holds, path, 1)


def assert_holds(path: Path, count: int) -> None:
    """What another process finds, and leaves."""
    query = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
    )
    command = [sys.executable, "-c", query, str(path), "SELECT count(*) FROM ltq_tasks"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == f"({count},)\n"
