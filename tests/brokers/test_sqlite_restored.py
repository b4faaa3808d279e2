"""A backup that is restored into a file while it is in use: what is there then counts."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope, Published
from ltq.state import Status


def envelope(task_id: str, queue: str, *, delay: float = 0.0) -> Envelope:
    return Envelope(id=task_id, queue=queue, task_name=queue, body=b"{}", delay=delay)


async def restore(backup: Path, path: Path) -> None:
    """Put a backup into a file, as `.restore` of the sqlite3 shell does."""

    def copy() -> None:
        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)

    await asyncio.to_thread(copy)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


async def make_backup(backup: Path, *queues: str) -> None:
    """A file with a task of each queue, whose id is the queue's name."""
    async with SqliteBroker(f"sqlite:///{backup}?sync=normal") as broker:
        for queue in queues:
            await broker.publish([envelope(queue, queue)])


async def test_namespaces_may_have_other_numbers(path: Path, backup: Path) -> None:
    await make_backup(backup, "two:t", "one:t")
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await broker.publish([envelope("a", "one:t")])
        await broker.publish([envelope("b", "two:t")])
        await restore(backup, path)
        assert [
            state and state.status for state in await broker.states("two:t", ["two:t", "b"])
        ] == [
            Status.PENDING,
            None,
        ]
        assert await broker.publish([envelope("new", "two:t")]) == [Published.CREATED]
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as other:
        assert (await other.state("two:t", "new")).status is Status.PENDING


async def test_a_namespace_may_be_gone(path: Path, backup: Path) -> None:
    await make_backup(backup, "one:t")
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await broker.publish([envelope("b", "two:t")])
        await restore(backup, path)
        assert await broker.states("two:t", ["b"]) == [None]
        assert await broker.publish([envelope("b", "two:t")]) == [Published.CREATED]
        assert sorted(await broker.queues()) == ["one:t", "two:t"]


async def test_what_is_due_is_what_is_due_in_the_backup(path: Path, backup: Path) -> None:
    async with SqliteBroker(f"sqlite:///{backup}?sync=normal") as other:
        await other.publish([envelope("soon", "two:t", delay=0.3)])
        await other.publish([envelope("a", "one:t")])
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await broker.publish([envelope("a", "one:t")])
        for number in range(3):
            await broker.publish([envelope(f"late{number}", "two:t", delay=60)])
        async with broker.consumer(["two:t"]) as consumer:
            assert await broker.claim(consumer, 1, timeout=0) == []
            claiming = asyncio.ensure_future(broker.claim(consumer, 1, timeout=10))
            await restore(backup, path)
            assert [delivery.lease.id for delivery in await claiming] == ["soon"]


async def test_workers_serve_what_the_backup_has(path: Path, backup: Path) -> None:
    def workers(path: Path) -> tuple[list[ltq.Worker], list[ltq.Task[[int], int]]]:
        url = f"sqlite:///{path}?sync=normal"
        made = [ltq.Worker(name, broker_url=url) for name in ("one", "two")]

        async def work(number: int) -> int:
            return number

        return made, [worker.task(name="t")(work) for worker in made]

    (x, y), (to_x, to_y) = workers(backup)
    sent = [await to_y.send(2), await to_x.send(1)]
    await x.aclose()
    await y.aclose()
    (a, b), (to_a, to_b) = workers(path)
    async with a, b:
        running = [asyncio.create_task(worker.run()) for worker in (a, b)]
        await (await to_a.send(0)).result(timeout=10)
        await (await to_b.send(0)).result(timeout=10)
        await restore(backup, path)
        handles = [to_b.handle(sent[0].id), to_a.handle(sent[1].id)]
        assert [await handle.result(timeout=10) for handle in handles] == [2, 1]
        for worker in (a, b):
            worker.stop()
        await asyncio.gather(*running)
