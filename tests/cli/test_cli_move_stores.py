"""`ltq move` by its command, from each kind of store to each other one that keeps tasks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltq.broker import Broker
from ltq.message import Published
from ltq.options import Priority
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.move_helpers import (
    MORE_PAIRS,
    PAIRS,
    bury,
    keep_schedule,
    letters,
    name_pair,
    pair_urls,
    waiting,
)
from tests.cli.processes import Done
from tests.conformance.factories import QUEUE, claim_ids, publish, publish_many

Pair = tuple[Broker, Broker]

STORES = [pair for pair in [*PAIRS, *MORE_PAIRS] if "memory" not in pair]


@pytest.fixture(params=STORES, ids=name_pair)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    return pair_urls(request, tmp_path)


@pytest.fixture
async def brokers(urls: list[str]) -> AsyncIterator[Pair]:
    source, target = map(Broker.from_url, urls)
    async with source, target:
        await target.queues()  # its file, or its schema, is made
        yield source, target


async def test_all_that_waits_is_at_the_other_one(urls: list[str], brokers: Pair) -> None:
    source, target = brokers
    await bury(source, "dead")
    low = await publish_many(source, 2, priority=Priority.LOW)
    high = await publish_many(source, 2, priority=Priority.HIGH)
    later = await publish(source, delay=60.0)
    due = (await source.state(QUEUE, later.id)).due_time
    await keep_schedule(source)
    done = await call_ltq("move", *urls)
    lines = [
        f"{QUEUE}: 6 tasks moved (4 pending, 1 delayed, 1 dead)",
        "schedules moved: nightly",
        f"paused at FROM: {QUEUE}",
    ]
    assert done == Done(0, "\n".join(lines) + "\n", "")
    assert await waiting(target, Status.PENDING) == [*high, *low]
    state = await target.state(QUEUE, later.id)
    assert state.due_time == pytest.approx(due, abs=1e-5)
    assert await letters(target) == ["dead"]
    async with target.consumer([QUEUE]) as consumer:
        assert await claim_ids(consumer, 10) == [*high, *low]
    assert await target.replay(QUEUE, ["dead"]) == [Published.CREATED]
    (stats,) = await source.stats([QUEUE])
    counts = stats.pending, stats.delayed, stats.working, stats.dead
    assert (counts, stats.paused) == ((0, 0, 0, 0), True)


async def test_a_dry_run_changes_nothing(urls: list[str], brokers: Pair) -> None:
    source, target = brokers
    (sent,) = await publish_many(source, 1)
    done = await call_ltq("move", *urls, "--dry-run")
    assert done.out == f"{QUEUE}: 1 task would be moved (1 pending, 0 delayed, 0 dead)\n"
    assert await waiting(source, Status.PENDING) == [sent]
    assert await target.queues() == []
