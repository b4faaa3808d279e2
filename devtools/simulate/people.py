"""Those who use the workers: producers, watchers, and consumers that die. And the weather."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import ltq
from devtools.simulate.books import Job
from devtools.simulate.shop import KEPT, LEASE, Shop
from ltq.broker import Broker
from ltq.errors import BrokerError, LtqError
from ltq.options import PriorityName
from ltq.testing import FlakyBroker
from ltq.testing.faults import Call

WATCHED, CANCELLED = 0.3, 0.05
"""The shares of jobs that somebody watches and cancels."""

PRIORITIES: tuple[PriorityName, ...] = ("high", "normal", "low")

CALLS: tuple[Call, ...] = (
    "send",
    "claim",
    "finish",
    "heartbeat",
    "states",
    "sweep",
    "fire",
    "wait",
    "cancel",
    "watch",
    "pause",
    "resume",
    "endings",
    "carried",
    "arrive",
    "held",
    "go_on",
)
"""The calls that may fail."""


class People:
    """All of them in one day; `jobs` are sent within `seconds`."""

    def __init__(self, shop: Shop, broker: FlakyBroker, plain: Broker, chance: random.Random):
        self._shop, self._broker, self._plain, self._chance = shop, broker, plain, chance
        self._books = shop.books
        self.watching: list[asyncio.Task[None]] = []

    def works(self, jobs: int, seconds: float) -> list[Coroutine[Any, Any, None]]:
        """What they do."""
        works = [self._produce(first, jobs, seconds) for first in range(3)]
        works += [self._steer(seconds), self._order(max(1, jobs // 10), seconds)]
        if not self._books.is_calm:
            works += [self._weather(seconds), self._die(seconds)]
        return works

    async def _produce(self, first: int, jobs: int, seconds: float) -> None:
        """Every third job, from this one on."""
        for number in range(first, jobs, 3):
            await asyncio.sleep(self._chance.expovariate(jobs / 3 / seconds))
            fails = self._chance.choice([0, 0, 0, 0, 1, 2, 9])
            job = Job(number, fails, round(self._chance.expovariate(1 / 20), 3))
            try:
                handle = await self._task().send(job.number, job.fails, job.seconds)
            except BrokerError:
                self._books.maybe[number] = job
                continue
            self._books.note(f"{self._shop.clock():.3f} sent {number}")
            self._books.sent[number] = job, handle
            if self._chance.random() < WATCHED:
                self.watching.append(asyncio.create_task(self._watch(job, handle)))
            if self._chance.random() < CANCELLED:
                self.watching.append(asyncio.create_task(self._cancel(job, handle)))

    async def _order(self, orders: int, seconds: float) -> None:
        """Send workflows, each until that is acknowledged: one that is cut may be there by half."""
        for number in range(1, orders + 1):
            await asyncio.sleep(self._chance.expovariate(orders / seconds))
            node = self._shop.order(number).with_options(id=f"order-{number}", result_ttl=KEPT)
            while number not in self._books.orders:
                try:
                    self._books.orders[number] = await node.send()
                except BrokerError:
                    await asyncio.sleep(1)
            self._books.note(f"{self._shop.clock():.3f} ordered {number}")

    def _task(self) -> ltq.Task[[int, int, float], int]:
        task = self._chance.choice([self._shop.plain, self._shop.plain, self._shop.limited])
        delay = self._chance.choice([0, 0, 5.0, 600.0])
        priority = self._chance.choice(PRIORITIES)
        return task.with_options(delay=delay, priority=priority)

    async def _watch(self, job: Job, handle: ltq.Handle[int]) -> None:
        """Until the end; one who loses the store asks again."""
        while True:
            try:
                async for state in handle.watch():
                    self._books.saw(job, state, self._shop.clock())
                return
            except BrokerError:
                await asyncio.sleep(1)

    async def _cancel(self, job: Job, handle: ltq.Handle[int]) -> None:
        await asyncio.sleep(self._chance.expovariate(1 / 300))
        self._books.cancelled.add(job.number)
        self._books.note(f"{self._shop.clock():.3f} cancel {job.number}")
        try:
            await handle.cancel()
        except LtqError:
            self._books.note("not told")

    async def _steer(self, seconds: float) -> None:
        """Pause a queue for a while."""
        while True:
            await asyncio.sleep(self._chance.expovariate(6 / seconds))
            queue = self._chance.choice([self._shop.plain, self._shop.limited]).queue
            await self._insist(self._broker.pause, queue)
            self._books.paused[queue] = self._shop.clock()
            self._books.note(f"{self._shop.clock():.3f} {queue} is paused")
            try:
                await asyncio.sleep(self._chance.expovariate(1 / 1800))
            finally:  # the day may be over
                del self._books.paused[queue]
                await self._insist(self._broker.resume, queue)

    async def _insist(self, call: Callable[[str], Awaitable[None]], queue: str) -> None:
        while True:
            try:
                return await call(queue)
            except BrokerError:
                await asyncio.sleep(1)

    async def _die(self, seconds: float) -> None:
        """Claim what there is, and never be heard of again."""
        queues = [self._shop.plain.queue, self._shop.limited.queue]
        while True:
            await asyncio.sleep(self._chance.expovariate(10 / seconds))
            consumer = self._plain.consumer(queues, lease=LEASE)
            for delivery in (await consumer.claim(self._chance.randint(1, 4))).deliveries:
                self._books.note(f"{self._shop.clock():.3f} dies with {delivery.lease.token}")

    async def _weather(self, seconds: float) -> None:
        """Let some calls fail for a while, or all of them, or lose their replies."""
        while True:
            await asyncio.sleep(self._chance.expovariate(12 / seconds))
            calls = self._chance.sample(CALLS, self._chance.randint(1, len(CALLS)))
            with self._broker.fail(calls, lost=self._chance.random() < 0.5):
                self._books.note(f"{self._shop.clock():.3f} bad weather {calls}")
                await asyncio.sleep(self._chance.expovariate(1 / LEASE))
