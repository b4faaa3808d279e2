"""A server that may lose tasks is told of when a worker starts."""

from collections.abc import Iterator

import pytest

import ltq
from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker


@pytest.fixture(params=["allkeys-lru", "volatile-ttl"])
def evicting(request: pytest.FixtureRequest, redis_executable: str) -> Iterator[RedisServer]:
    policy = ("--maxmemory", "100mb", "--maxmemory-policy", request.param)
    with RedisServer(redis_executable, *policy) as server:
        yield server


async def test_one_that_evicts_is_warned_of(
    evicting: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = ltq.Worker("mail", broker_url=evicting.url)

    @worker.task
    async def send() -> None: ...

    await worker.run(burst=True)
    await worker.aclose()
    assert "set it to noeviction" in caplog.text


async def test_one_without_a_limit_is_not(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker:
        assert await broker.hazards() == []


async def test_one_that_does_not_tell_is_not_accused(redis_executable: str) -> None:
    with RedisServer(redis_executable, "--rename-command", "INFO", "") as server:
        async with RedisBroker(server.url) as broker:
            assert await broker.hazards() == []
