"""Fixtures of the fault tests: servers to be hurt, workers to be killed, a ledger that is not."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet
from ltq.brokers.redis import RedisBroker
from tests.faults import jobs


@pytest.fixture(scope="session")
def ledger_server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def ledger(ledger_server: RedisServer) -> Iterator[Ledger]:
    """What the tasks of this test did."""
    with redis.Redis.from_url(ledger_server.url) as client:
        client.flushall()
        yield Ledger(client)


@pytest.fixture
def server(redis_executable: str) -> Iterator[RedisServer]:
    """A server of the test's own, to be hurt."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    """A client to hurt it with."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def fleet(ledger_server: RedisServer, ledger: Ledger, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Starts workers; kills them at the end."""
    fleet = Fleet(ledger_server.url, tmp_path, jobs.TARGET)
    yield fleet
    await fleet.aclose()


@pytest.fixture
async def broker(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RedisBroker]:
    """What this process sends the tasks of `jobs` through: straight to the server."""
    async with RedisBroker(server.url) as broker:
        monkeypatch.setattr(jobs.worker, "broker", broker)
        yield broker
