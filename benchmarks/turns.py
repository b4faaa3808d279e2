"""Calls that take turns, so that a machine that changes meanwhile counts for all of them."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from ltq.broker import Broker, Consumer
from ltq.message import Finish
from ltq.state import Status

CLAIMED = 50
"""Tasks of one claim."""


async def in_turns(
    calls: Sequence[Callable[[], Awaitable[object]]], rounds: int
) -> list[list[float]]:
    """The seconds of each call, made so many times. Each comes first in turn."""
    seconds: list[list[float]] = [[] for _ in calls]
    for first in range(rounds):
        for number in range(len(calls)):
            index = (first + number) % len(calls)
            start = time.perf_counter()
            await calls[index]()
            seconds[index].append(time.perf_counter() - start)
    return seconds


async def claims(places: Sequence[tuple[Broker, Sequence[str]]], rounds: int) -> list[list[float]]:
    """The seconds of claims of 50 tasks, with the calls that end them, in turns.

    Each place is a broker and the queues there.
    """
    async with AsyncExitStack() as stack:
        calls = []
        for broker, queues in places:
            consumer = await stack.enter_async_context(broker.consumer(queues))
            calls.append(partial(_claim, broker, consumer))
        for call in calls:  # the first one of a consumer announces it
            await call()
        return await in_turns(calls, rounds)


async def _claim(broker: Broker, consumer: Consumer) -> None:
    done = (await consumer.claim(CLAIMED)).deliveries
    assert len(done) == CLAIMED, "tasks are missing"
    await broker.finish([Finish(one.lease, Status.COMPLETED, b"1") for one in done])
