"""`ltq move` that is stopped anywhere and repeated: each task, letter and slot exactly once."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltq.broker import Broker
from ltq.cli.move import _tasks
from ltq.errors import BrokerError
from ltq.state import Status
from ltq.testing import FlakyBroker
from tests.cli.move_helpers import (
    PAIRS,
    Slots,
    bury,
    keep_schedule,
    letters,
    move_queue,
    name_pair,
    open_pair,
    waiting,
)
from tests.conformance.factories import QUEUE, publish_many

pytestmark = pytest.mark.slow

AT_SOURCE = (
    *("pause", "changed_schedules", "pause_schedule", "schedules", "remove_schedule", "sweep"),
    *("tasks", "pack", "drop", "stats", "dead_letters", "pack_dead"),
)
AT_TARGET = ("schedules", "adopt_schedule", "adopt")
STEPS = [
    *((0, call, lost) for call in AT_SOURCE for lost in (False, True)),
    *((1, call, lost) for call in AT_TARGET for lost in (False, True)),
]
"""Each call of a move: at which broker, its name, and whether only the reply is lost."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tasks, "_BATCH", 3)


@pytest.fixture(params=PAIRS, ids=name_pair)
async def brokers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[FlakyBroker, FlakyBroker]]:
    """A broker with tasks of all kinds, and an empty one."""
    async with open_pair(request, tmp_path) as (source, target):
        yield FlakyBroker(source), FlakyBroker(target)


class Stock:
    """What a broker has at first, and what became of it."""

    def __init__(self, source: Broker, target: Broker) -> None:
        self.source, self.target = source, target
        self.done: list[str] = []
        """Ids of the tasks that ran at the target."""

    async def fill(self) -> None:
        for number in range(4):
            await bury(self.source, f"dead:{number}")
        self.pending = await publish_many(self.source, 8)
        for number in range(5):
            await publish_many(self.source, 1, delay=600.0 + number)
        self.delayed = await waiting(self.source, Status.DELAYED)
        record = await keep_schedule(self.source)
        self.slots = Slots(record.last)
        await self.slots.tick(self.source)

    async def run_one(self) -> None:
        """Let a worker of the target run a task, and leave no state of it."""
        async with self.target.consumer([QUEUE]) as consumer:
            for delivery in (await consumer.claim(1)).deliveries:
                await self.target.release(delivery.lease, result_ttl=0.0)
                self.done.append(delivery.lease.id)

    async def check(self) -> None:
        """Each is at one place, and what was in order still is."""
        ticks = [f"tick:{slot}" for slot in self.slots.fired]
        left = await waiting(self.target, Status.PENDING)
        assert sorted([*self.done, *left]) == sorted([*self.pending, *ticks])
        assert [one for one in [*self.done, *left] if one in self.pending] == self.pending
        assert await waiting(self.target, Status.DELAYED) == self.delayed
        assert await letters(self.target) == [f"dead:{number}" for number in (3, 2, 1, 0)]
        (stats,) = await self.source.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 0, 0)
        assert await self.source.schedules(["nightly"]) == []
        (kept,) = await self.target.schedules(["nightly"])
        assert not kept.is_paused
        await self.slots.tick(self.source, self.target)
        first = min(self.slots.fired)
        assert self.slots.fired == [*range(first, self.slots.until + 1, 60)]


@pytest.mark.parametrize(("side", "call", "lost"), STEPS)
async def test_it_goes_on_after_each_call_that_fails(
    brokers: tuple[FlakyBroker, FlakyBroker], side: int, call: str, lost: bool
) -> None:
    source, target = brokers
    stock = Stock(source, target)
    await stock.fill()
    fault = brokers[side].fail(on=call, next=1, lost=lost)  # type: ignore[arg-type]
    with pytest.raises(BrokerError):
        await move_queue(source, target)
    fault.heal()
    await stock.run_one()
    await stock.slots.tick(source, target)
    report = await move_queue(source, target)
    assert report.is_whole
    await stock.check()


@pytest.mark.parametrize("seed", range(8))
async def test_it_goes_on_however_often_it_is_stopped(
    brokers: tuple[FlakyBroker, FlakyBroker], seed: int
) -> None:
    dice = random.Random(seed)
    source, target = brokers
    stock = Stock(source, target)
    await stock.fill()
    stopped, is_whole = 0, False
    while not is_whole:
        side, call, lost = dice.choice(STEPS)
        fault = brokers[side].fail(on=call, next=1, lost=lost)  # type: ignore[arg-type]
        try:
            is_whole = (await move_queue(source, target)).is_whole
        except BrokerError:
            stopped += 1
        fault.heal()
        await stock.run_one()
        await stock.slots.tick(source, target)
    report = await move_queue(source, target)
    assert report.is_whole
    assert stopped
    await stock.check()
