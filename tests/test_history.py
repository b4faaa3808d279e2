"""The figures of a minute, and what is read from them."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.broker import Broker, minute_at, minute_of, run_figures, wait_figures
from ltq.broker.history import LAST_BUCKET, MAX_DURATION, bucket_of
from ltq.brokers.memory import MemoryBroker
from ltq.errors import ConfigurationError
from ltq.message import Finish
from ltq.names import new_id
from ltq.state import Durations, Minute, Status
from tests.conformance.factories import claim_one, publish

ERROR = 2**0.25 - 1
QUEUE = "mail:send"
durations = st.lists(st.floats(0.0, 600_000.0), min_size=1, max_size=200)


def counted(values: list[float]) -> Durations:
    figures = Counter[str]()
    for value in values:
        figures.update(wait_figures(value))
    return minute_of(0, figures).wait


@given(durations)
def test_a_percentile_is_near_the_exact_one(values: list[float]) -> None:
    found, ordered = counted(values), sorted(values)
    assert found.count == len(values)
    assert found.sum == pytest.approx(sum(values), abs=1e-3)
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = ordered[math.ceil(share * len(values)) - 1]
        assert value == pytest.approx(exact, rel=ERROR + 1e-9, abs=1.001e-4)


@given(durations)
def test_several_are_counted_as_each_by_itself(values: list[float]) -> None:
    figures = Counter[str]()
    for value in values:
        figures.update(run_figures(value))
    assert run_figures(*values) == figures


@given(st.floats(0.0, MAX_DURATION))
def test_longer_ones_are_in_later_buckets(seconds: float) -> None:
    assert 0 <= bucket_of(seconds / 2) <= bucket_of(seconds) <= LAST_BUCKET
    if 2e-4 <= seconds <= 600_000:
        assert bucket_of(seconds) - bucket_of(seconds / 2) == 4


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 2 * MAX_DURATION])
def test_what_cannot_be_counts_as_nothing(seconds: float) -> None:
    assert run_figures(seconds) == {"r0": 1, "rs": 0}


def test_other_names_and_numbers_are_left_out() -> None:
    figures = {"x": 1, "w": 1, "wx": 2, "w-1": 1, "r3": -2, "rs": -5, "": 1, "failed": 2, "w133": 9}
    assert minute_of(2, figures) == Minute(time=120.0, failed=2)


def test_evenly_spread_ones_give_percentiles_in_between() -> None:
    values = [random.Random(7).uniform(1.0, 1.01)] * 1000
    found = counted(values)
    assert found.p50 is not None
    assert found.p95 is not None
    assert found.p50 < found.p95


class SetClock:
    """A clock that is set by hand."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class TestMemory:
    async def end_one(self, broker: Broker) -> None:
        await publish(broker)
        async with broker.consumer([QUEUE]) as consumer:
            delivery = await claim_one(broker, consumer)
            await broker.finish([Finish(delivery.lease, Status.COMPLETED)])

    async def test_it_keeps_a_day(self) -> None:
        clock = SetClock()
        broker = MemoryBroker(f"memory://{new_id()}", clock=clock)
        begun = minute_at(clock())
        for _ in range(3):
            await self.end_one(broker)
            clock.now += 12 * 3600
        day = await broker.history(QUEUE, 1440)
        ended = [minute_at(minute.time) - begun for minute in day if minute.completed]
        assert ended == [1440]
        clock.now += 12 * 3600
        await self.end_one(broker)
        assert sum(minute.completed for minute in await broker.history(QUEUE, 1440)) == 1


async def test_a_store_in_memory_need_not_count() -> None:
    name = new_id()
    broker = Broker.from_url(f"memory://{name}?history=0")
    assert broker.url == f"memory://{name}"
    await TestMemory().end_one(Broker.from_url(f"memory://{name}"))
    await TestMemory().end_one(broker.clone())
    assert all(minute == Minute(time=minute.time) for minute in await broker.history(QUEUE))
    with pytest.raises(ConfigurationError, match="the first broker of that name"):
        Broker.from_url(f"memory://{name}?history=1")


@pytest.mark.parametrize("query", ["?", "?history=2", "?history=", "?other=1", "?history=1&x=2"])
def test_other_parameters_of_a_store_in_memory_are_refused(query: str) -> None:
    with pytest.raises(ConfigurationError):
        Broker.from_url(f"memory://name{query}")
