"""An idle worker leaves the server alone: it waits, and does not poll."""

from typing import Any

import pytest
import redis

import ltq
from tests.elapse import elapse

pytestmark = pytest.mark.slow


async def test_an_idle_worker_asks_for_less_than_one_command_a_second(redis_url: str) -> None:
    worker = ltq.Worker("quiet", broker_url=redis_url)

    @worker.task
    async def work() -> int:
        return 1

    with redis.Redis.from_url(redis_url, protocol=2) as client:
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
