"""Fixtures of the fault tests of PostgreSQL: a server of each test's own, and workers over it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devtools.postgres import PostgresServer
from ltq.brokers.postgres import PostgresBroker
from tests.faults import jobs


@pytest.fixture
def pg(postgres_folder: Path) -> Iterator[PostgresServer]:
    """A server, to be hurt."""
    with PostgresServer(postgres_folder, synchronous_commit="on") as server:
        yield server
        server.kill()


@pytest.fixture
def pg_url(pg: PostgresServer) -> str:
    """Its URL for workers."""
    return f"{pg.url}?migrate=auto"


@pytest.fixture
async def pg_broker(pg_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresBroker]:
    """What this process sends the tasks of `jobs` through."""
    async with PostgresBroker(pg_url) as broker:
        await broker.migrate()
        monkeypatch.setattr(jobs.worker, "broker", broker)
        yield broker
