"""A task is there if and only if the user's transaction in PostgreSQL commits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import ltq
from ltq.broker import Broker
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError, ConfigurationError
from ltq.testing.conformance._support.eventually import PATIENCE


@dataclass
class Desk:
    """A connection of an application, and what it does with it."""

    connection: Any
    execute: Callable[[str], Awaitable[object]]
    commit: Callable[[], Awaitable[object]]
    rollback: Callable[[], Awaitable[object]]


def _later(function: Callable[..., object]) -> Callable[..., Awaitable[object]]:
    async def call(*args: object) -> object:
        return function(*args)

    return call


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[Desk]:
    with psycopg.connect(url) as one:
        yield Desk(one, _later(one.execute), _later(one.commit), _later(one.rollback))


@asynccontextmanager
async def odd_rows(url: str) -> AsyncIterator[Desk]:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as one:
        yield Desk(one, _later(one.execute), _later(one.commit), _later(one.rollback))


@asynccontextmanager
async def awaited(url: str) -> AsyncIterator[Desk]:
    async with await psycopg.AsyncConnection.connect(url) as one:
        yield Desk(one, one.execute, one.commit, one.rollback)


@asynccontextmanager
async def of_an_engine(url: str) -> AsyncIterator[Desk]:
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as one:

        async def execute(statement: str) -> object:
            return one.execute(text(statement))

        yield Desk(one, execute, _later(one.commit), _later(one.rollback))
    engine.dispose()


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Desk]:
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"), poolclass=NullPool)
    with Session(engine) as one:

        async def execute(statement: str) -> object:
            return one.execute(text(statement))

        yield Desk(one, execute, _later(one.commit), _later(one.rollback))
    engine.dispose()


@asynccontextmanager
async def async_of_an_engine(url: str) -> AsyncIterator[Desk]:
    engine = create_async_engine(
        url.replace("postgresql", "postgresql+psycopg"), poolclass=NullPool
    )
    async with engine.connect() as one:

        async def execute(statement: str) -> object:
            return await one.execute(text(statement))

        yield Desk(one, execute, one.commit, one.rollback)
    await engine.dispose()


@asynccontextmanager
async def async_session(url: str) -> AsyncIterator[Desk]:
    engine = create_async_engine(
        url.replace("postgresql", "postgresql+psycopg"), poolclass=NullPool
    )
    async with AsyncSession(engine) as one:

        async def execute(statement: str) -> object:
            return await one.execute(text(statement))

        yield Desk(one, execute, one.commit, one.rollback)
    await engine.dispose()


DESKS = [
    plain,
    odd_rows,
    awaited,
    of_an_engine,
    session,
    async_of_an_engine,
    async_session,
]


@pytest.fixture
async def worker(postgres_url: str) -> AsyncIterator[ltq.Worker]:
    """A worker on the schema. It does not run yet."""
    broker = PostgresBroker(postgres_url)
    yield ltq.Worker("shop", broker=broker)
    await broker.aclose()


@pytest.fixture
def database(postgres_url: str, postgres_admin: psycopg.Connection[Any]) -> str:
    """The URL of the application, whose own table is beside LTQ's."""
    postgres_admin.execute("CREATE TABLE IF NOT EXISTS orders (name text)")
    postgres_admin.execute("TRUNCATE orders")
    return postgres_url.partition("?")[0]


async def waiting(broker: Broker, queue: str) -> int:
    return (await broker.stats([queue]))[0].pending


@pytest.mark.parametrize("open_desk", DESKS)
class TestTransaction:
    async def test_a_task_is_there_once_it_commits(
        self, worker: ltq.Worker, database: str, open_desk: Any
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        async with open_desk(database) as desk:
            await desk.execute("INSERT INTO orders VALUES ('an order')")
            handle = await pack.with_options(connection=desk.connection).send(7)
            assert await waiting(worker.broker, pack.queue) == 0
            await desk.commit()
        assert await waiting(worker.broker, pack.queue) == 1
        async with worker:
            assert await handle.result(PATIENCE) == 7

    async def test_it_is_not_after_a_rollback(
        self, worker: ltq.Worker, database: str, open_desk: Any
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        async with open_desk(database) as desk:
            await desk.execute("INSERT INTO orders VALUES ('an order')")
            tasks = pack.with_options(connection=desk.connection)
            await tasks.send(7)
            await tasks.send_many([pack.message(number) for number in range(3)])
            await desk.rollback()
        assert await waiting(worker.broker, pack.queue) == 0

    async def test_what_is_refused_leaves_it_as_it_was(
        self, worker: ltq.Worker, database: str, open_desk: Any
    ) -> None:
        @worker.task(max_pending=1)
        async def pack(number: int) -> int:
            return number

        async with open_desk(database) as desk:
            await desk.execute("INSERT INTO orders VALUES ('an order')")
            tasks = pack.with_options(connection=desk.connection)
            await tasks.send(1)
            with pytest.raises(ltq.QueueFullError):
                await tasks.send(2)
            await desk.execute("INSERT INTO orders VALUES ('another')")
            await desk.commit()
        assert await waiting(worker.broker, pack.queue) == 1

    async def test_who_waits_hears_of_it_at_once(
        self, worker: ltq.Worker, database: str, open_desk: Any
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        async with worker, open_desk(database) as desk:
            first = await pack.send(1)
            assert await first.result(PATIENCE) == 1
            handle = await pack.with_options(connection=desk.connection).send(2)
            await desk.commit()
            assert await handle.result(2.0) == 2  # a poll alone would be too late


class TestAutocommit:
    async def test_each_send_is_a_transaction_of_its_own(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database, autocommit=True) as connection:
            await pack.with_options(connection=connection).send(1)
            assert await waiting(worker.broker, pack.queue) == 1
            pack.with_options(connection=connection)


class TestWrongConnections:
    async def test_what_is_none(self, worker: ltq.Worker) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with pytest.raises(ConfigurationError, match="psycopg 3"):
            await pack.with_options(connection=object()).send(1)

    async def test_one_to_another_database(self, worker: ltq.Worker, database: str) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        other = database.rpartition("/")[0] + "/template1"
        with (
            psycopg.connect(other) as connection,
            pytest.raises(ConfigurationError, match=r"'template1'.*'postgres'"),
        ):
            await pack.with_options(connection=connection).send(1)

    async def test_one_whose_transaction_has_failed(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT nonsense")
            with pytest.raises(BrokerError, match="roll it back"):
                await pack.with_options(connection=connection).send(1)
