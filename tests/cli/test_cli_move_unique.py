"""`ltq move` and `unique_for`: the same call stays one, wherever it is sent next."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltq import Worker
from ltq.broker import Broker
from ltq.message import Finish
from ltq.state import Status
from ltq.task import Task
from tests.cli.move_helpers import (
    MORE_PAIRS,
    PAIRS,
    letters,
    move_queue,
    name_pair,
    open_pair,
)
from tests.conformance.factories import QUEUE, claim_one

Pair = tuple[Broker, Broker]


@pytest.fixture(params=[*PAIRS, *MORE_PAIRS], ids=name_pair)
async def brokers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with open_pair(request, tmp_path) as pair:
        yield pair


def build(broker: Broker) -> Task[[int], None]:
    """The task of all tests here, as the programs of one store declare it."""
    worker = Worker("mail", broker=broker)

    @worker.task(name="send", unique_for=30)
    async def send(number: int) -> None: ...

    assert send.queue == QUEUE
    return send


async def test_the_same_call_at_the_new_store_is_the_task_that_was_moved(brokers: Pair) -> None:
    old, new = map(build, brokers)
    first, later = await old.send(1), await old.with_options(delay=60).send(2)
    assert (await move_queue(*brokers)).is_whole
    assert [await new.send(1), await new.send(2)] == [first, later]
    assert await old.send(1) == first, "also from a process that was forgotten"
    assert (await new.send(3)) not in (first, later)
    (stats,) = await brokers[1].stats([QUEUE])
    assert (stats.pending, stats.delayed) == (2, 1)


async def test_it_goes_on_to_a_third_store_and_back(brokers: Pair) -> None:
    old, new = map(build, brokers)
    first = await old.send(1)
    assert (await move_queue(*brokers)).is_whole
    assert (await move_queue(*reversed(brokers))).is_whole
    assert await old.send(1) == first
    assert await new.send(1) == first
    (stats,) = await brokers[0].stats([QUEUE])
    assert stats.pending == 1


async def test_so_is_the_call_of_a_dead_letter(brokers: Pair) -> None:
    old, new = map(build, brokers)
    first = await old.send(1)
    async with brokers[0].consumer([QUEUE]) as consumer:
        lease = (await claim_one(brokers[0], consumer)).lease
        await brokers[0].finish([Finish(lease, Status.FAILED, dead=True)])
    assert (await move_queue(*brokers)).is_whole
    assert await letters(brokers[1]) == [first.id]
    assert (await new.send(1)).id == first.id


async def test_what_the_new_store_was_sent_before_is_the_first_there(brokers: Pair) -> None:
    old, new = map(build, brokers)
    first, other = await old.send(1), await new.send(1)
    assert (await move_queue(*brokers)).is_whole
    assert await new.send(1) == other
    states = [await new.handle(one.id).state() for one in (first, other)]
    assert [one.status.is_final for one in states] == [False, False], "both were promised"
