"""Streams whose worker is killed, and whose readers are cut off."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import redis

import ltq
from devtools.servers import RedisServer
from devtools.workers import Fleet
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from tests.eventually import eventually
from tests.faults import jobs

PATIENCE = 30.0

READERS = 40

pytestmark = pytest.mark.usefixtures("broker")


async def test_another_worker_begins_anew(server: RedisServer, fleet: Fleet) -> None:
    victim = await fleet.start(server.url, lease=1.0)
    handle = await jobs.count.with_options(result_ttl=60).send(40, 0.05)
    stream, seen = handle.stream(timeout=PATIENCE), list[tuple[int, int]]()
    async for number in stream:
        seen.append((stream.attempt, number))
        if len(seen) == 5:
            await victim.kill()
            await fleet.start(server.url, lease=1.0)
    first = [number for attempt, number in seen if attempt == 1]
    assert first == [*range(len(first))]
    assert [number for attempt, number in seen if attempt == 2] == [*range(40)]
    assert await handle.collect(PATIENCE) == [*range(40)]


async def test_all_readers_wait_over_one_connection(
    server: RedisServer, fleet: Fleet, admin: redis.Redis
) -> None:
    await fleet.start(server.url)
    before = {one["id"] for one in admin.client_list(_type="pubsub")}
    handles = [await jobs.count.send(10, 0.1) for _ in range(20)]
    reading = [asyncio.create_task(handle.collect(PATIENCE)) for handle in handles * 10]
    await eventually(lambda: len(admin.client_list(_type="pubsub")) > len(before))
    await asyncio.gather(*reading)
    waiting = {one["id"] for one in admin.client_list(_type="pubsub")} - before
    assert len(waiting) <= 2  # that of the workers' revocations may be new as well
    assert [one.result() for one in reading] == [[*range(10)]] * len(reading)


async def test_readers_that_are_cut_and_resume_have_no_gap_and_no_double(
    server: RedisServer, fleet: Fleet, admin: redis.Redis
) -> None:
    await fleet.start(server.url)
    count = 150
    handle = await jobs.count.send(count, 0.02)

    async def read(chance: random.Random) -> list[int]:
        """Read some items in a process of its own, as it were, and go on in another one."""
        numbers: list[int] = []
        cursor: str | None = None
        while len(numbers) < count:
            async with _other_broker(server.url, shared=chance.random() < 0.5) as task:
                stream = task.handle(handle.id).stream(after=cursor, timeout=PATIENCE)
                most = chance.randint(1, 60)
                with suppress(BrokerError):  # the server was not reached in time: go on behind
                    async for number in stream:
                        numbers.append(number)
                        cursor = stream.cursor
                        if len(numbers) % most == 0:
                            break
                await stream.aclose()
        return numbers

    async def cut() -> None:
        """Cut all connections again and again, those of the worker, too."""
        while True:
            await asyncio.sleep(0.5)  # the task's own time
            for kind in ("pubsub", "normal"):
                admin.execute_command("CLIENT", "KILL", "TYPE", kind)

    cutting = asyncio.create_task(cut())
    try:
        found = await asyncio.gather(*(read(random.Random(one)) for one in range(READERS)))
    finally:
        cutting.cancel()
    assert found == [[*range(count)]] * READERS


class _other_broker:  # noqa: N801  it is used as a context manager
    """The task of `jobs` on a broker: that of this process, or one of its own."""

    def __init__(self, url: str, *, shared: bool) -> None:
        self._broker = None if shared else RedisBroker(url)

    async def __aenter__(self) -> "ltq.StreamTask[[int, float], int]":
        if self._broker is None:
            return jobs.count
        worker = ltq.Worker("faults", broker=self._broker)

        @worker.task
        async def count(most: int, pause: float) -> AsyncIterator[int]:
            yield most

        return count

    async def __aexit__(self, *exc_info: object) -> None:
        if self._broker is not None:
            await self._broker.aclose()
