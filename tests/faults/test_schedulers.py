"""Schedulers are killed and started: each slot is fired once all the same."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from math import ceil

import pytest

from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.broker import SCHEDULER_SILENT
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Delivery
from tests.eventually import eventually

TARGET = "tests.faults.ticks:scheduler"
QUEUE = "ticks:tick"

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""A server that is killed and started again knows of all that it has answered."""


async def start(fleet: Fleet, server: RedisServer, target: str = TARGET) -> WorkerProcess:
    return await fleet.run(server.url, ["-m", "ltq", "schedule", target])


def slot_of(delivery: Delivery) -> float:
    stamp = delivery.lease.id.removeprefix("second:")
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@asynccontextmanager
async def collected(broker: RedisBroker) -> AsyncIterator[list[Delivery]]:
    """What is fired, taken at once so that no trace of it is left in the broker."""
    found: list[Delivery] = []

    async def collect() -> None:
        async with broker.consumer([QUEUE]) as consumer:
            while True:
                with suppress(BrokerError):
                    for delivery in await broker.claim(consumer, 10, timeout=5):
                        found.append(delivery)
                        await broker.release(delivery.lease, result_ttl=0)

    collecting = asyncio.create_task(collect())
    try:
        yield found
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


def check(found: list[Delivery]) -> None:
    """Each second once, and in time."""
    slots = [int(slot_of(delivery)) for delivery in found]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    late = sorted(delivery.enqueue_time - slot_of(delivery) for delivery in found)
    last = 1000 * late[-1]
    print(f"MEASURED {len(late)} ticks, late: {1000 * late[len(late) // 2]:.1f} ms, {last:.1f} ms")  # noqa: T201
    assert late[0] >= 0


@pytest.mark.slow
async def test_three_of_them_that_are_killed_in_turn_fire_each_second_once(
    server: RedisServer, fleet: Fleet
) -> None:
    async with RedisBroker(server.url) as broker, collected(broker) as found:
        schedulers = [await start(fleet, server) for _ in range(3)]
        for turn in range(4):
            for one in schedulers[turn:]:
                await one.logged("scheduler: 1 schedule", 20.0)
            count = len(found)
            await eventually(lambda count=count: len(found) >= count + 2, 10.0)  # type: ignore[misc]
            await schedulers[turn].kill()
            schedulers.append(await start(fleet, server))
        for one in schedulers[4:]:
            await one.logged("scheduler: 1 schedule", 20.0)
        for one in schedulers[4:]:  # all at once: seconds without any scheduler are not made up for
            one.signal(signal.SIGTERM)
        assert [await one.end(10) for one in schedulers[4:]] == [0, 0, 0]

        async def all_are_taken() -> bool:
            (stats,) = await broker.stats([QUEUE])
            return stats.pending == 0

        await eventually(all_are_taken)
    check(found)


@pytest.mark.slow
async def test_another_version_that_is_killed_holds_up_the_slots_for_seconds(
    server: RedisServer, fleet: Fleet
) -> None:
    async with RedisBroker(server.url) as broker, collected(broker) as found:
        await start(fleet, server)
        await eventually(lambda: len(found) >= 2, 20.0)
        for _ in range(2):  # it crashes again and again
            other = await start(fleet, server, "tests.faults.ticks:seldom")
            await other.logged("scheduler: 1 schedule", 20.0)
            await other.kill()
        killed_at = time.time()

        def has_caught_up() -> bool:
            return slot_of(found[-1]) > killed_at + SCHEDULER_SILENT + 4

        await eventually(has_caught_up, 30.0)
        slots = [slot_of(delivery) for delivery in found]
        assert len(set(slots)) == len(slots)
        assert set(range(ceil(killed_at), int(slots[-1]))) <= set(slots)


@pytest.mark.slow
async def test_the_server_away_for_a_while_is_survived(redis_executable: str, fleet: Fleet) -> None:
    with RedisServer(redis_executable, *DURABLE) as server:
        async with RedisBroker(server.url) as broker, collected(broker) as found:
            schedulers = [await start(fleet, server) for _ in range(2)]
            await eventually(lambda: len(found) >= 2, 20.0)
            server.kill()
            server.start()
            count = len(found)
            await eventually(lambda: len(found) >= count + 3, 20.0)
            assert {one.exit_code for one in schedulers} == {None}
        slots = [slot_of(delivery) for delivery in found]
        assert len(set(slots)) == len(slots)
