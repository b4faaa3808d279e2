"""Reading streams: many items, and items that the store has lost."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

import ltq
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.errors import TaskNotFoundError
from ltq.message import Finish, Lease
from ltq.names import new_id
from ltq.state import Items, Status

MANY = 2500
"""More than one read brings."""


class Forgetful(MemoryBroker):
    """Loses items of streams, or finds them later."""

    def __init__(self) -> None:
        super().__init__(f"memory://{new_id()}")
        self.is_blind = False
        self.reads = 0

    async def items(self, queue: str, task_id: str, **place: Any) -> Items | None:
        self.reads += 1
        found = await super().items(queue, task_id, **place)
        if self.is_blind and found is not None:
            return Items(attempt=found.attempt, first=found.total, items=(), total=found.total)
        return found


@pytest.fixture
async def broker() -> AsyncIterator[Forgetful]:
    async with Forgetful() as broker:
        yield broker


@pytest.fixture
def count(broker: Broker) -> "ltq.StreamTask[[int], int]":
    worker = ltq.Worker("numbers", broker=broker)

    @worker.task(max_items=MANY)
    async def count(most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    return count


async def run(broker: Broker, queue: str, items: int) -> Lease:
    """Claim the next task, and yield so many items of it."""
    async with broker.consumer([queue]) as consumer:
        (delivery,) = await broker.claim(consumer, 1, timeout=5)
    for first in range(0, items, 500):
        some = [b"%d" % number for number in range(first, min(first + 500, items))]
        assert await broker.append(delivery.lease, first, some, MANY)
    return delivery.lease


async def end(broker: Broker, lease: Lease, items: int) -> None:
    await broker.finish([Finish(lease, Status.COMPLETED, b"%d" % items)])


class TestManyItems:
    async def test_all_are_there_however_many_reads_that_takes(
        self, broker: Forgetful, count: "ltq.StreamTask[[int], int]"
    ) -> None:
        handle = await count.send(MANY)
        lease = await run(broker, count.queue, MANY)
        assert await handle.present_items() == [*range(MANY)]
        assert broker.reads == 3
        await end(broker, lease, MANY)
        assert await handle.collect(timeout=5) == [*range(MANY)]

    async def test_present_ones_of_what_is_unknown_are_an_error(
        self, count: "ltq.StreamTask[[int], int]"
    ) -> None:
        with pytest.raises(TaskNotFoundError):
            await count.handle("unknown").present_items()


class TestLostItems:
    async def test_a_stream_ends_though_some_never_come(
        self, broker: Forgetful, count: "ltq.StreamTask[[int], int]"
    ) -> None:
        handle = await count.send(3)
        lease = await run(broker, count.queue, 3)
        broker.is_blind = True
        await end(broker, lease, 3)
        assert [item async for item in handle.stream(timeout=5)] == []
        assert broker.reads < 10, "it does not read without end"

    async def test_it_goes_on_with_what_comes_after_them(
        self, broker: Forgetful, count: "ltq.StreamTask[[int], int]"
    ) -> None:
        handle = await count.send(3)
        lease = await run(broker, count.queue, 1)
        stream = handle.stream(timeout=5)
        assert await anext(stream) == 0
        assert await broker.append(lease, 2, [b"2"], MANY)  # the second one is lost
        assert await anext(stream) == 2
        assert stream.missed == 1
        await end(broker, lease, 3)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
