"""Several workers at once on one Redis: each task is ended once, by who held it then."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import redis

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Delivery, Finish, Lease, Receipt, Requeue
from ltq.options import Priority
from ltq.state import Status
from tests.conformance.factories import QUEUE, publish_many

pytestmark = pytest.mark.slow

WORKERS = 4
TASKS = 2000
LONGEST = 3.0
LEASE = 0.08


@dataclass
class Log:
    """What one worker saw."""

    claimed: list[Lease] = field(default_factory=list)
    ended: list[Lease] = field(default_factory=list)
    """Leases by which it ended a task, with the receipt that says so."""
    refused: Counter[Receipt] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


class Hand:
    """A worker that does things in random order, keeps tasks too long, and comes back late."""

    def __init__(self, url: str, seed: int, end: float) -> None:
        self.random = random.Random(seed)
        self.broker = RedisBroker(f"{url}?notifications=poll")
        self.log = Log()
        self._end = end
        self._held: list[Delivery] = []

    async def work(self) -> Log:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.broker)
            consumer = await stack.enter_async_context(self.broker.consumer([QUEUE], lease=LEASE))
            empty = 0
            while empty < 3 and time.monotonic() < self._end:
                got = (await consumer.claim(self.random.randint(1, 30))).deliveries
                self._held += got
                self.log.claimed += [delivery.lease for delivery in got]
                self.random.shuffle(self._held)
                await self.step()
                empty = 0 if got or self._held else empty + 1
                if not got:
                    await consumer.wait(LEASE)
        return self.log

    async def step(self) -> None:
        count = self.random.randint(0, len(self._held))
        mine, self._held = self._held[:count], self._held[count:]
        leases = [delivery.lease for delivery in mine]
        if self.random.random() < 0.1:
            await self.broker.heartbeat(leases, LEASE)
            self._held += mine
        elif self.random.random() < 0.2:
            await self.broker.finish([Requeue(lease, failed=True) for lease in leases])
        else:
            await self.finish(leases)

    async def finish(self, leases: list[Lease]) -> None:
        outcomes = [
            Finish(lease, Status.COMPLETED, f'"{lease.token}"'.encode()) for lease in leases
        ]
        receipts = await self.broker.finish(outcomes)
        for lease, receipt in zip(leases, receipts, strict=True):
            if receipt is Receipt.OK:
                self.log.ended.append(lease)
            else:
                self.log.refused[receipt] += 1


def in_thread(url: str, seed: int, end: float) -> Log:
    async def work() -> Log:
        return await Hand(url, seed, end).work()

    return asyncio.run(work())


async def send(url: str) -> list[str]:
    async with RedisBroker(url) as broker:
        return [
            task_id
            for priority in Priority
            for task_id in await publish_many(broker, TASKS // 3, priority=priority)
        ]


async def finish_rest(url: str) -> Log:
    """One worker alone that ends what is left."""
    hand = Hand(url, 0, 0.0)
    async with hand.broker as broker, broker.consumer([QUEUE], lease=60.0) as consumer:
        while True:
            claim = await consumer.claim(100)
            await hand.finish([delivery.lease for delivery in claim.deliveries])
            hand.log.claimed += [delivery.lease for delivery in claim.deliveries]
            if not claim.deliveries and claim.due_in is None:
                return hand.log
            await consumer.wait(claim.due_in)


async def states(url: str, ids: list[str]) -> list[tuple[Status, bytes | None, int, int]]:
    async with RedisBroker(url) as broker:
        found = [state for state in await broker.states(QUEUE, ids) if state is not None]
        return [(s.status, s.result, s.dequeue_count, s.requeue_count) for s in found]


def test_each_task_is_ended_once_by_the_lease_it_had_then(server: RedisServer) -> None:
    ids = asyncio.run(send(server.url))
    end = time.monotonic() + LONGEST
    with ThreadPoolExecutor(WORKERS) as threads:
        logs = list(threads.map(lambda n: in_thread(server.url, n, end), range(WORKERS)))
    logs.append(asyncio.run(finish_rest(server.url)))

    ended = [lease for log in logs for lease in log.ended]
    claimed = [lease for log in logs for lease in log.claimed]
    assert len(claimed) == len(set(claimed)), "one lease was given twice"
    tokens = {lease.id: f'"{lease.token}"'.encode() for lease in ended}
    claims = Counter(lease.id for lease in claimed)
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        buried = set(client.zrange(keys.dead("mail", QUEUE), 0, -1))
    assert sorted([*(lease.id for lease in ended), *buried]) == sorted(ids)
    for task_id, (status, result, dequeues, requeues) in zip(
        ids, asyncio.run(states(server.url, ids)), strict=True
    ):
        expected = Status.REJECTED if task_id in buried else Status.COMPLETED
        assert (status, result) == (expected, tokens.get(task_id))
        assert (dequeues, requeues) == (claims[task_id], claims[task_id] - 1)
