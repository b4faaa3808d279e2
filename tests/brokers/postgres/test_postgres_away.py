"""A server of PostgreSQL that is killed, restarted, or cuts connections."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import ltq
from devtools.postgres import PostgresServer
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
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
