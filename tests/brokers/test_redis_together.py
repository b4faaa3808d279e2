"""Ten thousand tasks waited for at once: the server's view of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

import ltq
from ltq import Handle, Worker
from tests.eventually import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
MANY = 10_000


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    # Ten thousand watchers in this very loop may hold up a connection on a busy machine.
    async with redis.asyncio.Redis.from_url(
        redis_url, protocol=2, socket_connect_timeout=30, socket_timeout=30
    ) as client:
        yield client


async def channels(client: redis.asyncio.Redis) -> int:
    """How many of them some connection is subscribed to, those of tasks."""
    return len(await client.pubsub_channels("__keyspace@*:task:*"))


async def send(worker: Worker, many: int) -> list[Handle[int]]:
    @worker.task
    async def double(number: int) -> int:
        return 2 * number

    return await double.send_many([double.message(number) for number in range(many)])


@pytest.mark.slow
async def test_who_gives_up_leaves_no_subscription(
    redis_url: str, client: redis.asyncio.Redis
) -> None:
    worker = Worker("shop", broker_url=redis_url)
    handles = await send(worker, MANY)

    async def collect() -> None:
        async for _ in ltq.as_completed(handles):
            pass

    for wait in (lambda: ltq.gather(*handles), collect):
        waiting = asyncio.ensure_future(wait())
        await eventually(lambda: all_subscribed(client), timeout=40)
        assert len(await client.client_list(_type="pubsub")) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: none_subscribed(client), timeout=40)
    await worker.aclose()


@pytest.mark.slow
async def test_all_results_come_over_one_connection(
    redis_url: str, client: redis.asyncio.Redis
) -> None:
    worker = Worker("shop", broker_url=redis_url, concurrency=500)
    handles = await send(worker, MANY)
    waiting = asyncio.ensure_future(ltq.gather(*handles, timeout=90))
    await eventually(lambda: all_subscribed(client), timeout=40)
    async with worker:
        assert await waiting == tuple(2 * number for number in range(MANY))
        await eventually(lambda: none_subscribed(client), timeout=40)


async def all_subscribed(client: redis.asyncio.Redis) -> bool:
    return await channels(client) == MANY


async def none_subscribed(client: redis.asyncio.Redis) -> bool:
    return await channels(client) == 0
