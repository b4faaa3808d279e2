"""Fixtures of the deployments: a server for the tasks, and one for the record."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from tests.rolling.console import Console
from tests.rolling.record import Record
from tests.rolling.rollout import Deployment, Rollout
from tests.rolling.stage import Addresses, Stage


@contextmanager
def servers(executable: str) -> Iterator[Addresses]:
    with RedisServer(executable) as broker, RedisServer(executable) as record:
        yield Addresses(broker.url, record.url)


@pytest.fixture(scope="module")
def addresses(redis_executable: str) -> Iterator[Addresses]:
    with servers(redis_executable) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def consoles(addresses: Addresses) -> Iterator[Mapping[str, Console]]:
    """A process of each version that sends and reads."""
    old, new = ({**os.environ, **addresses.environment(version)} for version in ("v1", "v2"))
    with Console(old) as first, Console(new) as second:
        yield {"v1": first, "v2": second}


@pytest.fixture
async def stage(
    addresses: Addresses, consoles: Mapping[str, Console], tmp_path: Path
) -> AsyncIterator[Stage]:
    """An empty stage. What still runs at the end is killed."""
    with (
        redis.Redis.from_url(addresses.broker) as server,
        redis.Redis.from_url(addresses.record) as client,
    ):
        server.flushall()
        client.flushall()
        stage = Stage(addresses, Record(client), tmp_path, consoles)
        yield stage
        await stage.fleet.aclose()


@pytest.fixture
async def broker(stage: Stage) -> AsyncIterator[RedisBroker]:
    """Looks at the tasks."""
    async with RedisBroker(stage.url) as broker:
        yield broker


@pytest.fixture(scope="session")
def rollout(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """The one deployment that many tests ask about."""
    with servers(redis_executable) as addresses:
        return asyncio.run(_roll_out(addresses, tmp_path_factory.mktemp("rollout")))


async def _roll_out(addresses: Addresses, directory: Path) -> Rollout:
    with (
        redis.Redis.from_url(addresses.broker) as server,
        redis.Redis.from_url(addresses.record) as client,
    ):
        stage = Stage(addresses, Record(client), directory)
        try:
            async with RedisBroker(addresses.broker) as broker:
                return await Deployment(stage, broker, server).run()
        finally:
            await stage.fleet.aclose()
