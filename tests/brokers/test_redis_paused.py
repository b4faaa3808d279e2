"""A paused queue costs the server nothing: consumers do not look again and again."""

from typing import Any

import pytest
import redis

import ltq
from ltq.brokers.redis import RedisBroker
from tests.conformance.factories import QUEUE, publish_many
from tests.elapse import elapse


def claims(client: redis.Redis) -> int:
    """How many scripts ran: an idle worker makes no other calls in a short time."""
    stats: dict[str, Any] = client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url, protocol=2)


@pytest.mark.slow
async def test_workers_wait_for_it(redis_url: str, client: redis.Redis) -> None:
    worker = ltq.Worker("quiet", broker_url=redis_url)

    @worker.task(max_rate="100/s", max_running=5)
    async def work() -> int:
        return 1

    @worker.task
    async def other() -> int:
        return 2

    async with RedisBroker(redis_url) as broker:
        await broker.pause(work.queue)
        handles = [await work.send() for _ in range(20)]
        async with worker:
            assert await (await other.send()).result(timeout=10) == 2
            before = claims(client)
            await elapse(2, "it would look again meanwhile")
            assert claims(client) - before <= 4
            await broker.resume(work.queue)
            assert await handles[-1].result(timeout=10) == 1


async def test_a_claim_pays_one_command_where_nothing_is_paused(
    redis_url: str, client: redis.Redis
) -> None:
    async with RedisBroker(redis_url) as broker:
        await publish_many(broker, 100)
        async with broker.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            asked, read = calls(client, "exists"), calls(client, "smembers")
            assert len((await consumer.claim(100)).deliveries) == 100
            assert calls(client, "exists") - asked == 2  # the other one is for skipped entries
            assert calls(client, "smembers") == read


def calls(client: redis.Redis, command: str) -> int:
    stats: dict[str, Any] = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_a_mark_of_another_type_holds_nobody_back(
    redis_url: str, client: redis.Redis
) -> None:
    client.set("ltq:{mail}:paused", "spoilt")
    async with RedisBroker(redis_url) as broker:
        await publish_many(broker, 1)
        (stats,) = await broker.stats([QUEUE])
        assert not stats.paused
        async with broker.consumer([QUEUE]) as consumer:
            assert len((await consumer.claim(1)).deliveries) == 1
        await broker.pause(QUEUE)
        (stats,) = await broker.stats([QUEUE])
        assert stats.paused
