"""A schema is upgraded while workers of the version before run, and what each version is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._schema import migrate, texts
from ltq.errors import BrokerError
from ltq.testing.conformance._support.eventually import PATIENCE, eventually

pytestmark = pytest.mark.slow

UPGRADE = """
ALTER TABLE @schema@.tasks ADD COLUMN extra text;
ALTER TABLE @schema@.final ADD COLUMN extra text;
CREATE INDEX tasks_extra ON @schema@.tasks (extra);"""
"""What a later version may change."""

Become = Callable[..., None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    """Let all that begins from now on be of another version, with its upgrade."""

    def become(version: int, upgrade: str = UPGRADE) -> None:
        monkeypatch.setattr(migrate, "VERSION", version)
        monkeypatch.setattr(migrate, "_UPGRADES", {version - 1: "upgrade"})
        monkeypatch.setattr(
            texts,
            "text_of",
            lambda name: (
                upgrade if name == "upgrade" else (texts.FOLDER / f"{name}.sql").read_text("utf-8")
            ),
        )

    return become


async def told(broker: PostgresBroker) -> str:
    async with broker:
        with pytest.raises(BrokerError) as raised:
            await broker.queues()
    return str(raised.value)


async def test_workers_of_the_version_before_go_on(postgres_url: str, become: Become) -> None:
    """Each of them was checked when it began."""
    runs: list[int] = []
    old = PostgresBroker(postgres_url)
    worker = ltq.Worker("shop", broker=old, concurrency=5)

    @worker.task
    async def pack(number: int) -> int:
        runs.append(number)
        return 10 // number

    async with old, worker:
        assert await (await pack.send(1)).result(PATIENCE) == 10
        become(migrate.VERSION + 1)
        handles = await pack.send_many([pack.message(number) for number in range(1, 101)])
        async with PostgresBroker(postgres_url) as new:
            assert await new.migrate()
            assert not await new.migrate()
            failed = await pack.with_options(max_tries=1).send(0)
            handles += await pack.send_many([pack.message(number) for number in range(101, 201)])
            results = [await handle.result(PATIENCE) for handle in handles]
            assert results == [10 // number for number in range(1, 201)]
            await failed.wait(PATIENCE)
            assert await new.replay(pack.queue, [failed.id])
            await eventually(lambda: runs.count(0) == 2)
            delayed = await pack.with_options(delay=60).send(5)
            assert await new.promote(pack.queue, [delayed.id]) == 1
            assert await delayed.result(PATIENCE) == 2
    assert len(runs) == 1 + 200 + 2 + 1


async def test_each_version_is_told_what_to_do(postgres_url: str, become: Become) -> None:
    old, new = migrate.VERSION, migrate.VERSION + 1
    become(new)
    assert "by an older LTQ" in await told(PostgresBroker(postgres_url))
    async with PostgresBroker(postgres_url) as broker:
        assert await broker.migrate()
        assert await broker.queues() == []
    become(old)
    for url in (postgres_url, f"{postgres_url}&migrate=auto"):
        assert "by a newer LTQ" in await told(PostgresBroker(url))
    async with PostgresBroker(postgres_url) as broker:
        with pytest.raises(BrokerError, match="upgrade LTQ"):
            await broker.migrate()


async def test_many_upgrade_at_once(postgres_url: str, become: Become) -> None:
    become(migrate.VERSION + 1)
    brokers = [PostgresBroker(postgres_url) for _ in range(5)]
    done = await asyncio.gather(*(broker.migrate() for broker in brokers))
    assert sorted(done) == [False] * 4 + [True]
    for broker in brokers:
        await broker.aclose()


async def test_one_that_fails_changes_nothing(
    postgres_url: str, postgres_admin: psycopg.Connection[Any], become: Become
) -> None:
    become(migrate.VERSION + 1, f"{UPGRADE} SELECT 1 / 0;")
    async with PostgresBroker(postgres_url) as broker:
        with pytest.raises(BrokerError, match="division by zero"):
            await broker.migrate()
    become(migrate.VERSION - 1)
    async with PostgresBroker(postgres_url) as broker:
        assert await broker.queues() == []
    schema = postgres_url.rpartition("=")[2]
    query = "SELECT FROM information_schema.columns WHERE table_schema = %s AND column_name = %s"
    assert not postgres_admin.execute(query, [schema, "extra"]).fetchall()
