"""An idle worker leaves the server alone: it waits, and does not poll."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

import ltq
from devtools.servers import RedisServer
from tests.elapse import elapse

pytestmark = pytest.mark.slow


@pytest.fixture
def own_url(redis_executable: str) -> Iterator[str]:
    """A server that nothing of other tests still asks for something."""
    with RedisServer(redis_executable) as server:
        yield server.url


async def test_an_idle_worker_asks_for_less_than_one_command_a_second(own_url: str) -> None:
    worker = ltq.Worker("quiet", broker_url=own_url)

    @worker.task
    async def work() -> int:
        return 1

    with redis.Redis.from_url(own_url, protocol=2) as client:
        async with worker:
            assert await (await work.send()).result(timeout=10) == 1
            await elapse(15, "the first repair and the first look are over")
            before = _commands(client)
            await elapse(10, "it is idle for longer than it waits once")
            asked = _commands(client) - before
    assert asked <= 10, "commands inside scripts count"


def _commands(client: redis.Redis) -> int:
    stats: dict[str, Any] = client.info("commandstats")
    return sum(row["calls"] for name, row in stats.items() if name != "cmdstat_info")
