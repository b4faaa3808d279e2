"""LTQ's tables in a database of an application's: only if the URL says so, and beside its own."""

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import ltq
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.schema import VERSION
from ltq.errors import BrokerError, ConfigurationError
from ltq.message import Envelope, Published, new_id
from tests.brokers.enlist.desks import ORDER, orders_in


def envelope() -> Envelope:
    return Envelope(id=new_id(), queue="mail", task_name="mail", body=b"{}")


def marks(path: Path) -> tuple[int, int, int]:
    """What an application may have written into the head of its file, and LTQ's version."""
    with closing(sqlite3.connect(path)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (own,) = connection.execute("SELECT version FROM ltq_schema").fetchone()
        return application, version, own


async def test_its_tables_and_marks_stay(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(ORDER)
        connection.execute("PRAGMA application_id = 7")
        connection.execute("PRAGMA user_version = 70")
    async with SqliteBroker(f"sqlite:///{path}?shared=1") as broker:
        assert await broker.publish([envelope()]) == [Published.CREATED]
    assert (orders_in(path), marks(path)) == (1, (7, 70, VERSION))


def test_without_a_word_it_is_refused(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(BrokerError, match=r"of another application: .* add \?shared=1 to it"):
        asyncio.run(SqliteBroker(f"sqlite:///{path}").ping())
    assert path.read_bytes() == before


async def test_once_they_are_there_no_word_is_needed(path: Path) -> None:
    for url in (f"sqlite:///{path}?shared=1", f"sqlite:///{path}"):
        async with SqliteBroker(url) as broker:
            assert await broker.publish([envelope()]) == [Published.CREATED]


async def test_tables_of_an_application_may_be_made_in_a_file_of_ltq(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteBroker(f"sqlite:///{path}") as broker:
        await broker.ping()
        worker = ltq.Worker("shop", broker=broker)

        @worker.task
        async def pay(order: int) -> None: ...

        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE tasks (name TEXT)")
            connection.execute(ORDER)
            handle = await pay.with_options(connection=connection).send(1)
            connection.commit()
        assert (await handle.state()).id == handle.id
    assert orders_in(path) == 1


async def test_a_send_makes_the_tables_as_part_of_the_transaction(
    path: Path, worker: ltq.Worker
) -> None:
    @worker.task
    async def pay(order: int) -> None: ...

    def tables() -> int:
        with closing(sqlite3.connect(path)) as other:
            query = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'ltq%'"
            return int(other.execute(query).fetchone()[0])

    with closing(sqlite3.connect(path)) as connection:
        await pay.with_options(connection=connection).send(1)
        connection.rollback()
        assert tables() == 0
        handle = await pay.with_options(connection=connection).send(1)
        connection.commit()
    assert (await handle.state()).id == handle.id


async def test_a_send_refuses_tables_of_a_newer_version(path: Path, worker: ltq.Worker) -> None:
    @worker.task
    async def pay(order: int) -> None: ...

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ltq_schema (version INTEGER)")
        connection.execute(f"INSERT INTO ltq_schema VALUES ({VERSION + 1})")
        connection.commit()
        with pytest.raises(BrokerError, match="was made by a newer LTQ"):
            await pay.with_options(connection=connection).send(1)


class TestLibraries:
    async def test_another_kind_of_database_is_refused(
        self, path: Path, worker: ltq.Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @worker.task
        async def pay(order: int) -> None: ...

        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        monkeypatch.setattr(engine.dialect, "name", "postgresql")
        with Session(engine) as session:
            with_session = pay.with_options(connection=session)
            with pytest.raises(ConfigurationError, match="is to postgresql, but the broker"):
                await with_session.send(1)
        with pytest.raises(ConfigurationError, match=r"is not allowed: a sqlite3\.Connection, a"):
            await pay.with_options(connection=engine).send(1)

    async def test_so_is_one_that_is_closed(self, path: Path, worker: ltq.Worker) -> None:
        @worker.task
        async def pay(order: int) -> None: ...

        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        with engine.connect() as connection:
            pass
        with pytest.raises(ConfigurationError, match=r"cannot be used here: .*closed"):
            await pay.with_options(connection=connection).send(1)
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
        async with async_engine.connect() as async_connection:
            pass
        with pytest.raises(ConfigurationError, match=r"cannot be used here: .*closed"):
            await pay.with_options(connection=async_connection).send(1)


class TestWaking:
    """Who waits is told after the commit, if there is a hook for it."""

    @pytest.fixture
    def told(self, worker: ltq.Worker, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
        told: list[set[str]] = []

        def tell(topics: Collection[str]) -> None:
            told.append(set(topics))

        broker = worker.broker
        assert isinstance(broker, SqliteBroker)
        with closing(sqlite3.connect(":memory:")) as connection:
            broker.enlist(connection)
        monkeypatch.setattr(broker._sender, "tell", tell)
        return told

    @pytest.fixture
    def pay(self, worker: ltq.Worker) -> ltq.Task[[int], None]:
        @worker.task
        async def pay(order: int) -> None: ...

        return pay

    async def test_by_a_session(
        self, path: Path, pay: ltq.Task[[int], None], told: list[set[str]]
    ) -> None:
        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        with Session(engine) as session:
            await pay.with_options(connection=session).send(1)
            with session.begin_nested():
                handle = await pay.with_options(connection=session).send(2)
            assert told == []
            session.commit()
        assert {"lane shop:pay", f"task shop {handle.id}"} in told
        assert len(told) == 2
        engine.dispose()

    async def test_by_autocommit(
        self, path: Path, pay: ltq.Task[[int], None], told: list[set[str]]
    ) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            handle = await pay.with_options(connection=connection).send(1)
        assert told == [{"lane shop:pay", f"task shop {handle.id}"}]
