"""Calls on a queue with many tasks read few of them, and let other processes write in between."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.rows import Row, read_row
from ltq.message import Envelope

pytestmark = pytest.mark.slow

MANY = 1200


class Now:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def broker(tmp_path: Path, now: Now) -> AsyncIterator[SqliteBroker]:
    """One with many ready tasks, and as many that were due a minute ago or later."""
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db?sync=normal", clock=now) as broker:
        for delay in (0.0, 60.0):
            await broker.publish(
                [
                    Envelope(id=f"{delay}-{n}", queue="mail", task_name="mail", body=b"{}", delay=d)
                    for n in range(MANY)
                    for d in [delay * (n + 1)]
                ]
            )
        now.time += 120.0
        yield broker


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Those of tasks that are read."""
    found: list[Row] = []

    def noted(*columns: Any) -> Row:
        found.append(read_row(*columns))
        return found[-1]

    monkeypatch.setattr("ltq.brokers.sqlite._places.records.read_row", noted)
    return found


async def test_stats_read_no_task_but_the_first_ones(broker: SqliteBroker, rows: list[Row]) -> None:
    (stats,) = await broker.stats(["mail"])
    assert (stats.pending, stats.delayed, stats.unswept) == (MANY, MANY, 60.0)
    assert len(rows) < 10


async def test_a_list_of_final_tasks_reads_the_newest_only(
    broker: SqliteBroker, now: Now, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltq.brokers._rules.listing.page.MAX_FINAL", 50)
    ended: list[str] = []
    async with broker.consumer(["mail"]) as consumer:
        for number in range(200):
            now.time += 1.0
            (delivery,) = (await consumer.claim(1)).deliveries
            ttl = 3600.0 if number % 3 else 86400.0
            await broker.release(delivery.lease, result=b"1", result_ttl=ttl)
            ended.append(delivery.lease.id)
    rows.clear()
    page = await broker.tasks("mail", status="completed")
    assert [item.id for item in page.items] == ended[:-51:-1]
    assert len(rows) == 50


async def test_a_queue_is_cleared_in_several_steps(
    broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[None] = []
    commit = Database.commit

    def counted(database: Database) -> None:
        steps.append(None)
        commit(database)

    monkeypatch.setattr(Database, "commit", counted)
    assert await broker.clear("mail") == 2 * MANY
    assert len(steps) >= 2 * MANY // 500
    (stats,) = await broker.stats(["mail"])
    assert (stats.pending, stats.delayed) == (0, 0)
    assert await broker.clear("mail") == 0
