"""What `ltq doctor` says of a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.postgres import PostgresServer
from ltq.broker import Finding, Severity
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._operations import examine, surroundings
from ltq.brokers.postgres._schema.names import Schema
from ltq.brokers.postgres._server import connections
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.eventually import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def durable(postgres_folder: Path) -> Iterator[PostgresServer]:
    """A server as it is without settings."""
    with PostgresServer(
        postgres_folder, synchronous_commit="on", fsync="on", max_prepared_transactions="5"
    ) as server:
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
        durable.execute('CREATE ROLE "plain-user" LOGIN')
        durable.execute('GRANT USAGE ON SCHEMA ltq TO "plain-user"')
        durable.execute('GRANT SELECT ON ALL TABLES IN SCHEMA ltq TO "plain-user"')
        url = durable.url.replace("ltq@", "plain-user@")
        with psycopg.connect(durable.url) as forgotten:
            forgotten.execute("SELECT 1")
            told = (await findings(url))["transactions"]
            durable.execute('GRANT pg_read_all_stats TO "plain-user"')
            seen = (await findings(url))["transactions"]
        assert told.severity is Severity.OK
        assert "those of other users cannot be seen" in told.text
        assert told.advice == 'to see them: GRANT pg_read_all_stats TO "plain-user"'
        assert seen.severity is Severity.WARNING

    async def test_a_transaction_that_is_prepared(
        self, durable: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(examine, "_OPEN_LONG", 0.0)
        await findings(f"{durable.url}?migrate=auto")
        durable.execute("BEGIN; SELECT 1; PREPARE TRANSACTION 'the orders'")
        found = (await findings(durable.url))["transactions"]
        durable.execute("ROLLBACK PREPARED 'the orders'")
        assert found.severity is Severity.WARNING
        assert "prepared 'the orders'" in found.text
        assert "ROLLBACK PREPARED" in found.advice


class TestSurroundings:
    @pytest.mark.parametrize(
        "statement",
        [
            "LOCK TABLE ltq.tasks IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE ltq.final IN SHARE MODE",
            "SELECT pg_advisory_xact_lock({lock}, hashtext('shop'))",
        ],
    )
    async def test_a_lock_that_is_held_for_long(
        self, durable: PostgresServer, statement: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(surroundings, "_LONG_LOCK", 0.0)
        url = f"{durable.url}?migrate=auto"
        await findings(url)
        with psycopg.connect(durable.url) as forgotten:
            forgotten.execute(statement.format(lock=Schema("ltq").lock).encode())
            held = (await findings(url))["locks"]
            pid = forgotten.info.backend_pid
        assert held.severity is Severity.WARNING
        assert f"pid {pid}" in held.text
        assert str(pid) in held.advice

    async def test_a_standby_that_is_waited_for(self, durable: PostgresServer) -> None:
        url = f"{durable.url}?migrate=auto"
        await findings(url)
        durable.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        durable.execute("SELECT pg_reload_conf()")
        try:
            found = await eventually(lambda: self._lacks_a_standby(url), PATIENCE, "the setting")
        finally:
            durable.execute("ALTER SYSTEM RESET synchronous_standby_names")
            durable.execute("SELECT pg_reload_conf()")
        assert found is not None
        assert "none is connected" in found.text

    async def _lacks_a_standby(self, url: str) -> Finding | None:
        found = (await findings(url))["replication"]
        return found if found.severity is Severity.DANGER else None

    async def test_a_slot_that_nobody_reads(self, durable: PostgresServer) -> None:
        url = f"{durable.url}?migrate=auto"
        await findings(url)
        durable.execute("SELECT pg_create_physical_replication_slot('left', true)")
        found = (await findings(url))["replication"]
        durable.execute(found.advice.partition("or ")[2])
        assert found.severity is Severity.WARNING
        assert (await findings(url))["replication"].severity is Severity.OK

    async def test_a_standby(self, durable: PostgresServer, postgres_folder: Path) -> None:
        await findings(f"{durable.url}?migrate=auto")
        with PostgresServer(
            postgres_folder,
            standby_of=durable,
            max_prepared_transactions="5",  # no fewer than there
        ) as standby:
            found = (await findings(standby.url))["replication"]
            assert found.severity is Severity.DANGER
            assert "takes no writes" in found.text

    async def test_an_index_that_is_missing(self, durable: PostgresServer) -> None:
        url = f"{durable.url}?migrate=auto"
        await findings(url)
        durable.execute("DROP INDEX ltq.tasks_due")
        found = (await findings(url))["indexes"]
        assert found.severity is Severity.WARNING
        assert "tasks_due" in found.text
        durable.execute(found.advice.partition("then ")[2])
        assert (await findings(url))["indexes"].severity is Severity.OK

    async def test_a_pooler(self, durable: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"{durable.url}?migrate=auto"
        assert "pooler" not in await findings(url)
        monkeypatch.setattr(connections, "_OPTIONS", "-c jit=off")
        found = (await findings(url))["pooler"]
        assert (found.severity, bool(found.advice)) == (Severity.OK, True)
