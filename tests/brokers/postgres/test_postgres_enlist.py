"""A task is there if and only if the user's transaction in PostgreSQL commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import ltq
from ltq.broker import Broker
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError, ConfigurationError
from ltq.testing.conformance._support.eventually import PATIENCE

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds; who waits for a lock gets an error sooner."""


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

    @pytest.mark.parametrize("autocommit", [True, False])
    async def test_several_tasks_may_send_by_one_connection(
        self, worker: ltq.Worker, database: str, *, autocommit: bool
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        async with await psycopg.AsyncConnection.connect(
            database, autocommit=autocommit
        ) as connection:
            tasks = pack.with_options(connection=connection)
            await asyncio.gather(*(tasks.send(number) for number in range(10)))
            assert await waiting(worker.broker, pack.queue) == (10 if autocommit else 0)
        assert await waiting(worker.broker, pack.queue) == 10

    def test_so_may_several_threads(self, postgres_url: str, database: str) -> None:
        worker = ltq.Worker("shop", broker_url=postgres_url)

        @worker.task
        def pack(number: int) -> int:
            return number

        with (
            psycopg.connect(database, autocommit=True) as connection,
            ThreadPoolExecutor(4) as threads,
        ):
            tasks = pack.with_options(connection=connection)
            handles = [*threads.map(tasks.send_sync, range(20))]
        assert {handle.state().status for handle in handles} == {ltq.Status.PENDING}


class TestAsked:
    """What a send asks the broker for, it asks within the transaction."""

    async def test_a_unique_task_that_waits_is_not_sent_twice(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            tasks = pack.with_options(connection=connection, unique_for=60)
            first = await tasks.send(1)
            assert (await tasks.send(1)).id == first.id
            connection.rollback()
            assert (await tasks.send(1)).id != first.id

    async def test_former_names_are_known(self, worker: ltq.Worker, database: str) -> None:
        @worker.task(queue="shop:bills")
        async def bill(order: int) -> None: ...

        other = ltq.Worker("shop", broker=worker.broker)
        invoice = other.task(name="invoice", queue="shop:bills", aliases=("bill",))(bill.fn)
        with psycopg.connect(database) as connection:
            former = bill.with_options(connection=connection, id="b")
            now = invoice.with_options(connection=connection, id="b")
            assert (await former.send(1)).id == (await now.send(1)).id


@pytest.mark.parametrize("autocommit", [False, True])
async def test_an_error_in_the_middle_leaves_the_rest_of_the_transaction(
    worker: ltq.Worker, database: str, autocommit: bool
) -> None:
    @worker.task
    async def pack(number: int) -> int:
        return number

    with psycopg.connect(database, autocommit=autocommit) as connection:
        scope = "SESSION CHARACTERISTICS AS " if autocommit else ""
        connection.execute(f"SET {scope}TRANSACTION READ ONLY")
        with pytest.raises(BrokerError, match=r"read-only transaction"):
            await pack.with_options(connection=connection).send(1)
        assert connection.execute("SELECT 5").fetchone() == (5,)
        idle, inside = TransactionStatus.IDLE, TransactionStatus.INTRANS
        assert connection.info.transaction_status == (idle if autocommit else inside)
    assert await waiting(worker.broker, pack.queue) == 0


class TestWrongConnections:
    async def test_one_that_is_closed(self, worker: ltq.Worker, database: str) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            connection.close()
            with pytest.raises(ConfigurationError, match="connection= is closed"):
                await pack.with_options(connection=connection).send(1)

    async def test_one_in_a_pipeline(self, worker: ltq.Worker, database: str) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            tasks = pack.with_options(connection=connection)
            with (
                connection.pipeline(),
                pytest.raises(ConfigurationError, match="connection= is in a pipeline"),
            ):
                await tasks.send(1)
            await tasks.send(2)
        assert await waiting(worker.broker, pack.queue) == 1

    async def test_one_of_a_user_without_rights(self, worker: ltq.Worker, database: str) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            connection.execute("SET ROLE pg_monitor")
            with pytest.raises(BrokerError, match=r"Grant it to the user of connection="):
                await pack.with_options(connection=connection).send(1)

    async def test_one_of_another_driver(self, worker: ltq.Worker) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        told = r"uses sqlite3.Connection, but the broker is PostgreSQL"
        with (
            create_engine("sqlite://", poolclass=NullPool).connect() as connection,
            pytest.raises(ConfigurationError, match=told),
        ):
            await pack.with_options(connection=connection).send(1)
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=NullPool)
        async with engine.connect() as other:
            with pytest.raises(ConfigurationError, match="but the broker is PostgreSQL"):
                await pack.with_options(connection=other).send(1)

    async def test_one_that_its_library_cannot_use(self, worker: ltq.Worker, database: str) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        url = database.replace("postgresql", "postgresql+psycopg")
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.close()
            with pytest.raises(ConfigurationError, match=r"cannot be used here: .*closed"):
                await pack.with_options(connection=connection).send(1)
        other = create_async_engine(url, poolclass=NullPool)
        async with other.connect() as awaited:
            await awaited.close()
            with pytest.raises(ConfigurationError, match="cannot be used here: "):
                await pack.with_options(connection=awaited).send(1)

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


class TestOpenTransactions:
    """One that is the first to use a queue holds nobody up, however long it stays open."""

    async def test_others_send_to_the_queue_and_workers_run_what_they_sent(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as first, psycopg.connect(database) as second:
            early = await pack.with_options(connection=first).send(1)
            async with asyncio.timeout(SOON), worker:
                assert await (await pack.send(2)).result() == 2
                late = await pack.with_options(connection=second).send(3)
                second.commit()
                assert await late.result() == 3
            first.commit()
        async with worker:
            assert await early.result(PATIENCE) == 1

    async def test_it_holds_up_no_worker_that_starts_and_no_pause(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as first:
            early = await pack.with_options(connection=first).send(1)
            async with asyncio.timeout(SOON), worker:
                await worker.broker.pause(pack.queue)
                assert (await worker.broker.stats([pack.queue]))[0].paused
                await worker.broker.resume(pack.queue)
                first.commit()
                assert await early.result(2.0) == 1  # a poll alone would be too late

    async def test_two_of_them_may_end_in_any_order(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task
        async def pack(number: int) -> int:
            return number

        connections = [psycopg.connect(database) for _ in range(3)]
        async with asyncio.timeout(SOON):
            sent = [
                await pack.with_options(connection=one).send(number)
                for number, one in enumerate(connections)
            ]
        connections[2].commit()
        connections[0].rollback()
        assert await waiting(worker.broker, pack.queue) == 1
        async with worker:
            assert await sent[2].result(PATIENCE) == 2
            connections[1].commit()
            assert await sent[1].result(PATIENCE) == 1
        for one in connections:
            one.close()

    async def test_what_is_sent_is_seen_before_anybody_has_claimed(
        self, worker: ltq.Worker, database: str
    ) -> None:
        @worker.task(max_pending=2)
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as connection:
            await pack.with_options(connection=connection).send(1)
            connection.commit()
            assert await worker.broker.queues() == [pack.queue]
            assert await waiting(worker.broker, pack.queue) == 1
            await pack.send(2)
            with pytest.raises(ltq.QueueFullError):
                await pack.send(3)
            with pytest.raises(ltq.QueueFullError):
                await pack.with_options(connection=connection).send(3)
        await worker.broker.pause(pack.queue)
        (stats,) = await worker.broker.stats([pack.queue])
        assert (stats.pending, stats.paused) == (2, True)

    async def test_lanes_of_their_own_are_found(self, worker: ltq.Worker, database: str) -> None:
        @worker.task(max_rate="1000/s")
        async def pack(number: int) -> int:
            return number

        with psycopg.connect(database) as first, psycopg.connect(database) as second:
            for connection in (first, second):
                await pack.with_options(connection=connection).send(1)
            async with asyncio.timeout(SOON), worker:
                assert await (await pack.send(2)).result() == 2
                handle = await pack.with_options(connection=second).send(3)
                second.commit()
                assert await handle.result() == 3
