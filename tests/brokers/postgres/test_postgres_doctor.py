"""What `ltq doctor` says of a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.postgres import PostgresServer
from ltq.broker import Finding, Severity
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._operations import examine


@pytest.fixture(scope="module")
def durable(postgres_folder: Path) -> Iterator[PostgresServer]:
    """A server as it is without settings."""
    with PostgresServer(postgres_folder, synchronous_commit="on", fsync="on") as server:
        yield server


async def findings(url: str) -> dict[str, Finding]:
    async with PostgresBroker(url) as broker:
        return {one.name: one for one in await broker.examine()}


class TestDoctor:
    async def test_a_server_in_order(self, durable: PostgresServer) -> None:
        found = await findings(f"{durable.url}?migrate=auto")
        assert {one.severity for one in found.values()} == {Severity.OK}
        assert "each commit on its disk" in found["store"].text

    async def test_commits_that_do_not_wait_for_the_disk(self, durable: PostgresServer) -> None:
        url = f"{durable.url}?migrate=auto"
        with psycopg.connect(durable.url, autocommit=True) as admin:
            admin.execute("ALTER ROLE ltq SET synchronous_commit = off")
            found = await findings(url)
            admin.execute("ALTER ROLE ltq RESET synchronous_commit")
        assert found["store"].severity is Severity.WARNING

    async def test_settings_that_lose_tasks(self, postgres_url: str) -> None:
        found = await findings(postgres_url)
        assert found["store"].severity is Severity.DANGER
        async with PostgresBroker(postgres_url) as broker:
            assert len(await broker.hazards()) == 1

    async def test_a_transaction_that_is_open_for_long(
        self, durable: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(examine, "_OPEN_LONG", 0.0)
        with psycopg.connect(durable.url) as forgotten:
            pid: Any = forgotten.execute("SELECT pg_backend_pid()").fetchone()
            found = await findings(f"{durable.url}?migrate=auto")
        assert found["transactions"].severity is Severity.WARNING
        assert f"pid {pid[0]}" in found["transactions"].text

    async def test_a_user_who_cannot_see_those_of_others_is_told(
        self, durable: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(examine, "_OPEN_LONG", 0.0)
        await findings(f"{durable.url}?migrate=auto")
        durable.execute("CREATE ROLE plain LOGIN")
        durable.execute("GRANT USAGE ON SCHEMA ltq TO plain")
        durable.execute("GRANT SELECT ON ALL TABLES IN SCHEMA ltq TO plain")
        url = durable.url.replace("ltq@", "plain@")
        with psycopg.connect(durable.url) as forgotten:
            forgotten.execute("SELECT 1")
            told = (await findings(url))["transactions"]
            durable.execute("GRANT pg_read_all_stats TO plain")
            seen = (await findings(url))["transactions"]
        assert told.severity is Severity.OK
        assert "those of other users cannot be seen" in told.text
        assert told.advice == "to see them: GRANT pg_read_all_stats TO plain"
        assert seen.severity is Severity.WARNING
