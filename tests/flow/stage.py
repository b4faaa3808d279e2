"""Workers of two namespaces on one broker, whose workflows tests watch closely."""

from collections import Counter
from typing import Any

import ltq
from ltq import Worker
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.names import new_id
from ltq.testing import FlakyBroker


class Stage:
    """A broker, two workers and their tasks."""

    def __init__(self, broker: Broker | None = None) -> None:
        self.broker: Broker = broker or FlakyBroker(MemoryBroker(f"memory://{new_id()}?history=0"))
        self.one = Worker("one", broker=self.broker)
        self.two = Worker("two", broker=self.broker)
        self.ran: Counter[str] = Counter()

        @self.one.task
        async def numbers(count: int) -> list[int]:
            self.ran["numbers"] += 1
            return list(range(count))

        @self.two.task
        async def double(number: int) -> int:
            self.ran["double"] += 1
            return 2 * number

        @self.one.task
        async def add(given: list[int]) -> int:
            self.ran["add"] += 1
            return sum(given)

        @self.two.task
        async def text(number: int, size: int) -> str:
            return "x" * size

        @self.one.task
        async def lengths(texts: list[str]) -> int:
            return sum(map(len, texts))

        self.numbers, self.double, self.add = numbers, double, add
        self.text, self.lengths = text, lengths

    @property
    def total(self) -> "ltq.Node[int]":
        """A map with its fan-in."""
        return self.numbers.step(3).map(self.double).then(self.add)

    async def claim_one(self, queue: str) -> Any:
        """The next delivery of a queue."""
        async with self.broker.consumer([queue]) as consumer:
            (delivery,) = await self.broker.claim(consumer, 1, timeout=5)
        return delivery
