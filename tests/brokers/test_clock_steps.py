"""What holds, and what does not, when the broker's clock is set: forward, or back."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import texts
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Receipt, Requeue, new_id
from ltq.options import Limit, Rate
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_ids, claim_one, publish, publish_many

HOUR = 3600.0

RATES = {"one an hour": Rate(1, HOUR), "50 a second": Rate(50, 1.0)}


class Stepped(ABC):
    """A broker, and its clock."""

    broker: Broker

    @abstractmethod
    def step(self, seconds: float) -> None:
        """Set the clock forward, or back."""


class SteppedMemory(Stepped):
    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self.broker = MemoryBroker(f"memory://{new_id()}", clock=lambda: self._now)

    def step(self, seconds: float) -> None:
        self._now += seconds


class SteppedSqlite(Stepped):
    def __init__(self, path: Path) -> None:
        self._now = 1_700_000_000.0
        self.broker = SqliteBroker(f"sqlite:///{path}?sync=normal", clock=lambda: self._now)

    def step(self, seconds: float) -> None:
        self._now += seconds


class SteppedRedis(Stepped):
    """The scripts add what a key says to the time of the server."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.broker = RedisBroker(url)

    def step(self, seconds: float) -> None:
        self._client.incrbyfloat("clock", seconds)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def stepped(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Stepped]:
    if request.param == "memory":
        yield SteppedMemory()
        return
    if request.param == "sqlite":
        of_file = SteppedSqlite(tmp_path / "jobs.db")
        async with of_file.broker:
            yield of_file
        return
    url: str = request.getfixturevalue("redis_url")
    for _ in scripts_with_a_clock(monkeypatch):
        found = SteppedRedis(url)
        async with found.broker:
            yield found


def scripts_with_a_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    read, call = texts._read, "redis.call('TIME')\n"

    def changed(name: str) -> str:
        text = read(name)
        if name != "_time":
            return text
        assert call in text
        return text.replace(
            call, f"{call}time[1] = time[1] + math.floor(redis.call('GET', 'clock') or 0)\n"
        )

    with monkeypatch.context() as patch:
        patch.setattr(texts, "_read", changed)
        texts.source.cache_clear()
        texts.sha.cache_clear()
        yield
    texts.source.cache_clear()
    texts.sha.cache_clear()


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("seconds", [-5.0, -HOUR, -24 * HOUR, 24 * HOUR])
async def test_a_rate_limit_waits_for_one_burst_at_most(
    stepped: Stepped, rate: Rate, seconds: float
) -> None:
    await publish_many(stepped.broker, 50)
    async with stepped.broker.consumer([QUEUE], limits={QUEUE: Limit(rate)}) as consumer:
        assert len(await claim_ids(consumer, 50)) == rate.burst
        stepped.step(seconds)
        given = len(await claim_ids(consumer, 50))
        assert given <= rate.burst, "the limit holds again from the step on"
        if not given:
            start_in = (await consumer.claim(50)).start_in
            assert start_in is not None
            assert start_in <= rate.burst * rate.interval


async def test_the_limit_holds_after_a_step_back(stepped: Stepped) -> None:
    await publish_many(stepped.broker, 9)
    limits = {QUEUE: Limit(RATES["one an hour"])}
    async with stepped.broker.consumer([QUEUE], limits=limits) as consumer:
        for _ in range(3):
            assert len(await claim_ids(consumer, 9)) == 1
            assert (await consumer.claim(9)).start_in == pytest.approx(HOUR, abs=5.0)
            stepped.step(-24 * HOUR)


async def test_a_delayed_task_is_due_when_the_clock_says_so(stepped: Stepped) -> None:
    sooner, later = await publish(stepped.broker, delay=HOUR), await publish(stepped.broker)
    async with stepped.broker.consumer([QUEUE]) as consumer:
        stepped.step(-HOUR)
        claim = await consumer.claim(9)
        assert [one.lease.id for one in claim.deliveries] == [later.id]
        stepped.step(3 * HOUR)
        await stepped.broker.sweep([QUEUE])
        assert sooner.id in await claim_ids(consumer, 9)


async def test_a_step_forward_ends_all_leases(stepped: Stepped) -> None:
    await publish(stepped.broker)
    async with stepped.broker.consumer([QUEUE]) as consumer:
        lost = (await claim_one(stepped.broker, consumer)).lease
        stepped.step(HOUR)
        assert (await stepped.broker.sweep([QUEUE])).recovered == 1
        assert await stepped.broker.heartbeat([lost], 15.0) == [lost]
        assert await stepped.broker.release(lost) is Receipt.STALE
        again = await claim_one(stepped.broker, consumer)
        assert (again.lease.id, again.deaths) == (lost.id, 1)


async def test_a_worker_that_lives_renews_its_leases_after_a_step_back(stepped: Stepped) -> None:
    await publish(stepped.broker)
    async with stepped.broker.consumer([QUEUE]) as consumer:
        lease = (await claim_one(stepped.broker, consumer)).lease
        stepped.step(-HOUR)
        assert await stepped.broker.heartbeat([lease], 15.0) == []
        stepped.step(60.0)  # from then on the lease is as long as ever
        assert (await stepped.broker.sweep([QUEUE])).recovered == 1


async def test_a_dead_workers_tasks_wait_until_the_clock_has_caught_up(stepped: Stepped) -> None:
    await publish(stepped.broker)
    async with stepped.broker.consumer([QUEUE]) as consumer:
        await claim_one(stepped.broker, consumer)
        stepped.step(-HOUR)
        assert (await stepped.broker.sweep([QUEUE])).recovered == 0
        stepped.step(HOUR + 60.0)
        assert (await stepped.broker.sweep([QUEUE])).recovered == 1


async def test_tokens_grow_and_outcomes_are_fenced_as_ever(stepped: Stepped) -> None:
    await publish(stepped.broker)
    async with stepped.broker.consumer([QUEUE]) as consumer:
        old = (await claim_one(stepped.broker, consumer)).lease
        stepped.step(-HOUR)
        await stepped.broker.finish([Requeue(old, front=True)])
        new = (await claim_one(stepped.broker, consumer)).lease
        assert new.token > old.token
        assert await stepped.broker.release(old) is Receipt.STALE
        assert await stepped.broker.release(new) is Receipt.OK
        assert (await stepped.broker.state(QUEUE, new.id)).status is Status.COMPLETED
