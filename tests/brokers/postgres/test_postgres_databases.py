"""Databases as others have made them: of another encoding, published, not quite empty."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
from ltq.names import new_id
from ltq.testing.conformance._support.eventually import PATIENCE

pytestmark = pytest.mark.slow

MakeDatabase = Callable[..., str]


@pytest.fixture
def make_database(
    postgres_server: str, postgres_admin: psycopg.Connection[Any]
) -> Iterator[MakeDatabase]:
    """Makes a database of this test's own, and runs statements in it."""
    made: list[sql.Identifier] = []

    def make(*statements: str, encoding: str = "UTF8") -> str:
        name = f"app_{new_id().lower()}"
        made.append(sql.Identifier(name))
        create = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
        postgres_admin.execute(create.format(made[-1], encoding))
        url = f"{postgres_server.rpartition('/')[0]}/{name}"
        with psycopg.connect(url, autocommit=True) as admin:
            for statement in statements:
                admin.execute(statement.encode())
        return url

    yield make
    for name in made:
        postgres_admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_texts_arrive_whatever_its_encoding_is(
    make_database: MakeDatabase, encoding: str
) -> None:
    url = make_database(encoding=encoding)
    broker = PostgresBroker(f"{url}?migrate=auto")
    worker = ltq.Worker("shop", broker=broker)

    @worker.task(max_tries=1)
    async def greet(name: str) -> str:
        if not name:
            raise ValueError("€ 日本 \x00")
        return f"{name} €\x00"

    async with broker, worker:
        handle = await greet.send("zł")
        with psycopg.connect(url) as connection:  # whose encoding is that of the database
            failing = await greet.with_options(connection=connection).send("")
        assert await handle.result(PATIENCE) == "zł €\x00"
        with pytest.raises(ltq.TaskFailedError, match="€ 日本"):
            await failing.result(PATIENCE)
        assert len(await broker.dead_letters(greet.queue)) == 1


async def test_a_publication_may_have_all_tables(make_database: MakeDatabase) -> None:
    url = make_database("CREATE PUBLICATION everything FOR ALL TABLES")
    broker = PostgresBroker(f"{url}?migrate=auto")
    worker = ltq.Worker("shop", broker=broker)

    @worker.task(max_tries=1)
    async def pack(number: int) -> int:
        return 1 // number

    async with broker:
        with psycopg.connect(url) as connection:  # whose lane is adopted later
            await pack.with_options(connection=connection).send(1)
        failing = await pack.send(0)
        await worker.run(burst=True)
        again = await failing.rerun()
        await broker.cancel(pack.queue, again.id, result_ttl=0)
        await broker.purge(pack.queue, [failing.id])
        minutes = await broker.history(pack.queue, minutes=2)
        assert sum(one.completed + one.failed for one in minutes) == 2
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("SELECT ltq.upkeep(100)")
            for table in ("ended", "final"):
                admin.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("ltq", table)))


@pytest.mark.parametrize("autocommit", [True, False])
async def test_a_send_in_a_transaction_may_be_the_first_call(
    make_database: MakeDatabase, *, autocommit: bool
) -> None:
    url = make_database()
    broker = PostgresBroker(f"{url}?migrate=auto")
    worker = ltq.Worker("shop", broker=broker)

    @worker.task
    async def pack(number: int) -> int:
        return number

    async with broker:
        with psycopg.connect(url, autocommit=autocommit) as connection:
            await pack.with_options(connection=connection).send(1)
            connection.rollback()
        async with await psycopg.AsyncConnection.connect(url, autocommit=autocommit) as awaited:
            await pack.with_options(connection=awaited).send(2)
        assert (await broker.stats([pack.queue]))[0].pending == (2 if autocommit else 1)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("tasks (title text)", "tasks"),
        ("version (name text)", "version"),
        ("version (number text)", "version"),
        ("version (number integer)", "version"),
    ],
)
async def test_tables_of_others_are_told_and_stay(
    make_database: MakeDatabase, table: str, named: str
) -> None:
    url = make_database(f"CREATE TABLE {table}")
    async with PostgresBroker(f"{url}?schema=public") as broker:
        with pytest.raises(BrokerError, match=rf"'public' is used by .*\"{named}\".*\?schema="):
            await broker.migrate()
        if named == "version":
            with pytest.raises(BrokerError, match=r"'public' is used by something other than LTQ"):
                await broker.ping()
    with psycopg.connect(url) as admin:
        query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert admin.execute(query).fetchone() == (1,)


async def test_a_role_migrates_a_schema_that_was_made_for_it(
    make_database: MakeDatabase, postgres_admin: psycopg.Connection[Any]
) -> None:
    role = f"tenant_{new_id().lower()}"
    url = make_database(f"CREATE ROLE {role} LOGIN", f"CREATE SCHEMA jobs AUTHORIZATION {role}")
    try:
        own = url.replace("ltq@", f"{role}@")
        async with PostgresBroker(f"{own}?schema=jobs") as broker:
            assert await broker.migrate()
            assert await broker.queues() == []
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"DROP OWNED BY {role}".encode())
    finally:
        postgres_admin.execute(f"DROP ROLE {role}".encode())
