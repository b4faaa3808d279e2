"""A server of PostgreSQL that is killed, restarted, or cuts connections."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

import ltq
from devtools.postgres import PostgresServer
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.errors import BrokerError, LtqError
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.conformance.factories import QUEUE, make_envelope
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'ltq' AND pid <> pg_backend_pid()"""


@pytest.fixture
def server(postgres_folder: Path) -> Iterator[PostgresServer]:
    """A server of this test's own."""
    with PostgresServer(postgres_folder, synchronous_commit="on") as server:
        yield server
        server.stop()


@pytest.fixture
def url(server: PostgresServer) -> str:
    return f"{server.url}?migrate=auto"


class TestKilled:
    async def test_a_call_says_so_within_seconds(self, server: PostgresServer, url: str) -> None:
        async with PostgresBroker(url) as broker:
            await broker.queues()
            server.kill()
            async with asyncio.timeout(6.0):
                with pytest.raises(BrokerError, match="PostgreSQL at"):
                    await broker.queues()

    async def test_a_call_waits_for_its_return(self, server: PostgresServer, url: str) -> None:
        async with PostgresBroker(url) as broker:
            await broker.publish([make_envelope()])
            server.kill()
            waiting = asyncio.create_task(broker.stats([QUEUE]))
            await elapse(0.2, "the call meets a server that is away")
            await asyncio.to_thread(server.start)
            (stats,) = await waiting
            assert stats.pending == 1

    async def test_workers_go_on_and_lose_nothing(self, server: PostgresServer, url: str) -> None:
        runs: list[int] = []
        broker = PostgresBroker(url)
        worker = ltq.Worker("shop", broker=broker, concurrency=5)

        @worker.task
        async def pack(number: int) -> int:
            await asyncio.sleep(0.01)  # the task's own time
            runs.append(number)
            return number

        async with broker, worker:
            handles = await pack.send_many([pack.message(number) for number in range(200)])
            await eventually(lambda: len(runs) >= 20, description="some runs")
            server.kill()
            await elapse(1.5, "an outage is noticed")
            await asyncio.to_thread(server.start)
            results = [await handle.result(PATIENCE) for handle in handles]
            assert results == [*range(200)]
        assert sorted(runs) == [*range(200)]


class TestCut:
    async def test_connections_that_are_cut_again_and_again_lose_nothing(
        self, server: PostgresServer, url: str
    ) -> None:
        runs: list[int] = []
        broker = PostgresBroker(url)
        worker = ltq.Worker("shop", broker=broker, concurrency=20)

        @worker.task
        async def pack(number: int) -> int:
            runs.append(number)
            return number

        async with broker, worker:
            handles = []
            with psycopg.connect(server.url, autocommit=True) as admin:
                for number in range(20):
                    handles.append(await pack.send(number))
                    sent = [pack.message(100 + 10 * number + one) for one in range(10)]
                    handles += await pack.send_many(sent)
                    admin.execute(CUT)
            results = [await handle.result(PATIENCE) for handle in handles]
        assert sorted(runs) == sorted(results)
        assert len({*runs}) == len(runs) == 220


async def test_a_schema_that_was_dropped_is_told_with_what_to_do(
    server: PostgresServer, url: str
) -> None:
    async with PostgresBroker(url) as broker:
        await broker.publish([make_envelope()])
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("DROP SCHEMA ltq CASCADE")
        for call in (broker.publish([make_envelope()]), broker.queues()):
            with pytest.raises(SchemaError, match=r"lacks something that LTQ needs.*`ltq migrate`"):
                await call


@pytest.mark.parametrize("is_loop_closed", [False, True])
def test_a_broker_that_nobody_closed_keeps_no_connection(
    server: PostgresServer, url: str, is_loop_closed: bool
) -> None:
    """So it is in a notebook, and on a page whose script is run again and again."""

    async def use() -> None:
        broker = PostgresBroker(url)
        await broker.publish([make_envelope()])
        with suppress(LtqError):
            await broker.wait(QUEUE, "nobody", timeout=0.1)
        if is_loop_closed:
            kept.append(broker)

    def are_closed(admin: "psycopg.Connection[tuple[int]]") -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ltq'"
        return admin.execute(query).fetchone() == (0,)

    kept: list[PostgresBroker] = []
    with warnings.catch_warnings(), psycopg.connect(server.url, autocommit=True) as admin:
        warnings.simplefilter("ignore", ResourceWarning)
        with asyncio.Runner() as runner:
            runner.run(use())
            gc.collect()
        kept.clear()
        gc.collect()
        asyncio.run(eventually(lambda: are_closed(admin)))
