"""A map with its fan-in whose workers and carriers die all the time: does that go on once?

It happens in this process, without a server, so that a seed decides all of it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from devtools.chaos.figures.goal import Goal
from devtools.chaos.say import say
from ltq import Status, Worker
from ltq._flow.carry import carry
from ltq._flow.values import waiter_of
from ltq.broker.flows import Ending
from ltq.brokers.memory import MemoryBroker
from ltq.errors import ResultTimeoutError
from ltq.message import Delivery, Finish, Receipt
from ltq.names import new_id

SEEDS = 100
"""How many runs, with seeds one after the other."""

_LIKELY = 0.03
"""How likely somebody dies at each call: half of them before it is made."""

_AT_ONCE = 100
"""Tasks that a worker ends together, or dies with."""

_LEASE = 60.0

_OK = Receipt.OK
"""There is an ending to carry on; of what has arrived there is none."""


class CrashError(Exception):
    """The process that made a call is gone."""


class Crashing:
    """A broker whose caller dies now and then."""

    def __init__(self, broker: MemoryBroker, chance: random.Random) -> None:
        self._broker = broker
        self._chance = chance
        self.crashes = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._broker, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            drawn = self._chance.random()
            self.crashes += drawn < _LIKELY
            if drawn < _LIKELY / 2:
                raise CrashError
            answer = await method(*args, **kwargs)
            if drawn < _LIKELY:
                raise CrashError
            return answer

        return call


class Run:
    """A workflow of one seed."""

    def __init__(self, seed: int, count: int) -> None:
        self._now = 1_000_000.0
        self._chance = random.Random(seed)
        self.broker = MemoryBroker(f"memory://{new_id()}?history=0", clock=lambda: self._now)
        self.crashing: Any = Crashing(self.broker, self._chance)
        self.ran: Counter[str] = Counter()
        one, two = (Worker(name, broker=self.broker) for name in ("one", "two"))

        @one.task
        async def numbers(count: int) -> list[int]:
            return list(range(count))

        @two.task
        async def double(number: int) -> int:
            return 2 * number

        @one.task
        async def add(given: list[int]) -> int:
            return sum(given)

        self._functions: dict[str, Any] = {task.name: task for task in (numbers, double, add)}
        self.queues = [*self._functions]
        self.fan_in = add.name
        self.node = numbers.step(count).map(double).then(add)
        self.deaths = 0

    async def live(self) -> int:
        """Run it to its end. Returns the result."""
        handle = await self.node.send()
        async with self.broker.consumer(self.queues, lease=_LEASE) as consumer:
            while True:
                deliveries = (await consumer.claim(500)).deliveries
                for first in range(0, len(deliveries), _AT_ONCE):
                    await self._work(deliveries[first : first + _AT_ONCE])
                if await self._carry_left() or deliveries:
                    continue
                self._now += _LEASE + 1.0  # then what the dead held is taken back
                if not (await self.broker.sweep(self.queues)).recovered:
                    break
        return await handle.result(0.0)

    async def left(self) -> int:
        """How many tasks and endings are left."""
        stats = await self.broker.stats(self.queues)
        endings = [await self.broker.endings(queue) for queue in self.queues[1:]]
        return sum(one.pending + one.delayed + one.working for one in stats) + sum(
            map(len, endings)
        )

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        if self._chance.random() < _LIKELY:
            self.deaths += 1
            return
        outcomes = [await self._outcome(one) for one in deliveries]
        receipts = await self.broker.finish(outcomes)
        told = zip(outcomes, receipts, strict=True)
        with suppress(CrashError):
            await carry(self.crashing, [Ending.of(one) for one, answer in told if answer is _OK])

    async def _outcome(self, delivery: Delivery) -> Finish:
        self.ran[delivery.task_name] += 1
        (args, _) = msgspec.json.decode(delivery.body)
        result = await self._functions[delivery.task_name](*args)
        encoded = msgspec.json.encode(result)
        waiter = waiter_of(delivery.lease.queue, delivery.ctx)
        return Finish(delivery.lease, Status.COMPLETED, encoded, flow=delivery.ctx, waiter=waiter)

    async def _carry_left(self) -> int:
        """What other workers find."""
        found = 0
        for queue in self.queues[1:]:
            while endings := await self.broker.endings(queue):
                found += len(endings)
                with suppress(CrashError):
                    await carry(self.crashing, endings)
        return found


async def flows(count: int, seed: int, seeds: int = SEEDS) -> list[Goal]:
    """Maps of `count` elements with their fan-ins, one for each seed from this one on."""
    stuck = wrong = crashes = deaths = 0
    fired: Counter[int] = Counter()
    for one in range(seed, seed + seeds):
        run = Run(one, count)
        try:
            result = await run.live()
        except ResultTimeoutError:
            result = None
        stuck += bool(await run.left())
        wrong += result != count * (count - 1)
        fired[run.ran[run.fan_in]] += 1
        crashes, deaths = crashes + run.crashing.crashes, deaths + run.deaths
        await run.broker.aclose()
        if seeds >= SEEDS:
            say(f"seed {one}: {run.crashing.crashes} crashes, {run.deaths} deaths")
        await asyncio.sleep(0)
    return [
        Goal("runs", seeds),
        Goal("crashes of who carries on", crashes),
        Goal("deaths of workers with what they held", deaths),
        Goal("fan-ins that did not run once", seeds - fired[1], 0),
        Goal("wrong results", wrong, 0),
        Goal("stuck", stuck, 0),
    ]
