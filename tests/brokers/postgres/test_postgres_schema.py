"""Making and upgrading the schema, and what is told of one that cannot be used."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from devtools.servers import free_port
from ltq.broker import Broker
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._schema import migrate
from ltq.brokers.postgres._schema.names import Schema
from ltq.cli._root import main
from ltq.errors import BrokerError, ConfigurationError
from ltq.names import new_id


@pytest.fixture
def empty_url(postgres_server: str) -> str:
    """A server with a schema of this test's own that is not there."""
    return f"{postgres_server}?schema=ltq_{new_id().lower()}"


def schema_of(url: str) -> Schema:
    return Schema(url.rpartition("=")[2])


async def error_of(broker: Broker) -> str:
    """The one line that a broker which cannot be used answers with."""
    began = time.monotonic()
    try:
        with pytest.raises(BrokerError) as raised:
            await broker.stats(["shop"])
    finally:
        await broker.aclose()
    assert time.monotonic() - began < 5.0
    text = str(raised.value)
    assert "\n" not in text
    return text


class TestMigrate:
    async def test_it_makes_the_schema_once(self, empty_url: str) -> None:
        broker = PostgresBroker(empty_url)
        assert await broker.migrate()
        assert not await broker.migrate()
        assert await broker.queues() == []
        await broker.aclose()

    async def test_many_may_do_it_at_once(self, empty_url: str) -> None:
        brokers = [PostgresBroker(empty_url) for _ in range(5)]
        done = await asyncio.gather(*(broker.migrate() for broker in brokers))
        assert sorted(done) == [False] * 4 + [True]
        for broker in brokers:
            await broker.aclose()

    async def test_the_first_call_does_it_if_the_url_says_so(self, empty_url: str) -> None:
        async with PostgresBroker(f"{empty_url}&migrate=auto") as broker:
            assert await broker.queues() == []

    def test_the_command_does_it(self, empty_url: str) -> None:
        first, again = (
            CliRunner().invoke(main, ["migrate", "--broker-url", empty_url]) for _ in range(2)
        )
        assert (first.exit_code, again.exit_code) == (0, 0)
        assert first.output.endswith(": migrated\n")
        assert again.output.endswith(": up to date\n")

    def test_its_script_does_it_as_it_is(
        self, empty_url: str, postgres_admin: psycopg.Connection[Any]
    ) -> None:
        printed = CliRunner().invoke(main, ["migrate", "--sql", "--broker-url", empty_url])
        assert printed.exit_code == 0
        postgres_admin.execute(printed.output.encode())
        again = CliRunner().invoke(main, ["migrate", "--broker-url", empty_url])
        assert again.output.endswith(": up to date\n")

    def test_others_have_nothing_to_migrate(self) -> None:
        given = CliRunner().invoke(main, ["migrate", "--broker-url", "memory://a"])
        assert given.exit_code == 1
        assert "nothing to migrate" in given.output


class TestWrongSchema:
    @pytest.mark.slow
    async def test_none(self, empty_url: str) -> None:
        assert "run `ltq migrate`" in await error_of(PostgresBroker(empty_url))

    async def test_a_newer_one(
        self, postgres_url: str, postgres_admin: psycopg.Connection[Any]
    ) -> None:
        quoted = schema_of(postgres_url).quoted
        newer = f"UPDATE {quoted}.version SET number = {migrate.VERSION + 1}"
        postgres_admin.execute(newer.encode())
        assert "upgrade LTQ" in await error_of(PostgresBroker(postgres_url))

    async def test_an_older_one(
        self,
        postgres_url: str,
        postgres_admin: psycopg.Connection[Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(migrate, "VERSION", migrate.VERSION + 1)
        text = await error_of(PostgresBroker(postgres_url))
        assert "by an older LTQ" in text
        assert "run `ltq migrate`" in text


class TestWrongServer:
    @pytest.mark.slow
    async def test_none(self) -> None:
        url = f"postgresql://ltq:secret@127.0.0.1:{free_port()}/postgres"
        text = await error_of(PostgresBroker(url))
        assert "PostgreSQL at 127.0.0.1:" in text
        assert "secret" not in text

    async def test_a_wrong_database(self, postgres_server: str) -> None:
        url = postgres_server.rpartition("/")[0] + "/nowhere"
        assert 'database "nowhere" does not exist' in await error_of(PostgresBroker(url))

    async def test_a_role_without_rights(
        self, postgres_url: str, postgres_admin: psycopg.Connection[Any]
    ) -> None:
        postgres_admin.execute("DROP ROLE IF EXISTS nobody_here")
        postgres_admin.execute("CREATE ROLE nobody_here LOGIN")
        text = await error_of(PostgresBroker(postgres_url.replace("ltq@", "nobody_here@")))
        assert "permission denied" in text

    async def test_an_older_server(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migrate, "OLDEST_SERVER", 990_000)
        assert "needs 13 or newer" in await error_of(PostgresBroker(postgres_url))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="psycopg")

    monkeypatch.setattr("ltq.broker._named.factories.importlib.import_module", missing)
    with pytest.raises(ConfigurationError, match=r"needs psycopg.*'ltq\[postgres\]'"):
        Broker.from_url("postgresql://h/d")


def test_it_is_needed_only_where_it_is_used() -> None:
    """psycopg and greenlet are extras."""
    check = (  # what measures coverage may have imported greenlet itself
        "import sys; before = {*sys.modules}; import ltq; "
        "assert not {'psycopg', 'greenlet'} & ({*sys.modules} - before)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[3])
