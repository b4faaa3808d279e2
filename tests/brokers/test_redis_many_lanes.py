"""Many lanes that are not empty: a claim reads as much of their index as it needs, and no less."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from functools import partial

import pytest
import redis

from ltq.broker import Claim
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.options import Limit, Priority
from tests.conformance.factories import make_envelope

LANES = [f"many:{number:02}" for number in range(90)]
FIRST = 16
"""So many a claim reads at first."""


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def fill(
    broker: RedisBroker, each: int = 1, priority: Priority = Priority.NORMAL
) -> list[str]:
    """Let so many tasks wait in each lane, the first lane's first. Returns the ids."""
    ids = []
    for lane in LANES:
        some = [make_envelope(queue=lane, task_name=lane, priority=priority) for _ in range(each)]
        await broker.publish(some)
        ids += [one.id for one in some]
    return ids


def lanes_of(claim: Claim) -> list[str]:
    return [delivery.lease.queue for delivery in claim.deliveries]


async def ranges(raw: "redis.Redis", claiming: Awaitable[Claim]) -> list[int]:
    """How many members of the index each of a claim's looks asked for."""
    with raw.monitor() as monitor:
        await claiming
        raw.echo("done")
        words: Iterator[list[str]] = (one["command"].split() for one in monitor.listen())
        asked = list[int]()
        for command, *arguments in words:
            if command == "ECHO":
                return asked
            if command == "ZRANGE" and arguments[0] == keys.active("many"):
                asked.append(int(arguments[2]) + 1)
    raise AssertionError("the server says nothing more")


async def test_a_claim_reads_what_it_has_room_for(broker: RedisBroker, raw: "redis.Redis") -> None:
    await fill(broker, each=5)
    async with broker.consumer(LANES) as consumer:
        await consumer.claim(0)
        assert await ranges(raw, consumer.claim(5)) == [FIRST]
        assert await ranges(raw, consumer.claim(5 * FIRST)) == [FIRST]
        assert await ranges(raw, consumer.claim(5 * FIRST + 1)) == [FIRST, 4 * FIRST]
        assert await ranges(raw, consumer.claim(240)) == [FIRST, 4 * FIRST]


async def test_it_reads_all_before_it_gives_less_than_wanted(
    broker: RedisBroker, raw: "redis.Redis"
) -> None:
    await fill(broker)
    async with broker.consumer(LANES) as consumer:
        await consumer.claim(0)
        claim = await consumer.claim(len(LANES) + 1)
        assert sorted(lanes_of(claim)) == LANES
        assert raw.zcard(keys.active("many")) == 0


async def test_all_lanes_take_turns(broker: RedisBroker) -> None:
    await fill(broker, each=3)
    async with broker.consumer(LANES) as consumer:
        rounds = [lanes_of(await consumer.claim(1)) for _ in range(2 * len(LANES))]
    served = [lane for lanes in rounds for lane in lanes]
    assert served[: len(LANES)] == LANES
    assert served[len(LANES) :] == LANES


async def test_priorities_come_first_wherever_they_wait(broker: RedisBroker) -> None:
    usual = await fill(broker)
    least = await fill(broker, priority=Priority.LOW)
    urgent = make_envelope(queue=LANES[-1], task_name=LANES[-1], priority=Priority.HIGH)
    await broker.publish([urgent])
    async with broker.consumer(LANES) as consumer:
        claims = [await consumer.claim(many) for many in (1, 30, 200)]
    given = [one.lease.id for claim in claims for one in claim.deliveries]
    assert given == [urgent.id, *usual, *least]


async def test_one_lane_is_found_behind_those_of_others(broker: RedisBroker) -> None:
    await fill(broker)
    async with broker.consumer(LANES[-1:]) as consumer:
        assert lanes_of(await consumer.claim(5)) == LANES[-1:]
        assert lanes_of(await consumer.claim(5)) == []


async def test_lanes_that_may_not_start_more_do_not_hide_the_others(broker: RedisBroker) -> None:
    await fill(broker, each=2)
    slow = dict.fromkeys(LANES[:70], Limit(running=1))
    async with broker.consumer(LANES, limits=slow) as consumer:
        await consumer.claim(70)
        assert lanes_of(await consumer.claim(2)) == [LANES[70]] * 2


async def test_paused_queues_do_not_hide_the_others(broker: RedisBroker) -> None:
    await fill(broker)
    for lane in LANES[:70]:
        await broker.pause(lane)
    async with broker.consumer(LANES) as consumer:
        assert lanes_of(await consumer.claim(2)) == LANES[70:72]


async def test_a_wake_up_is_passed_on_for_a_lane_that_was_not_reached(
    broker: RedisBroker, raw: "redis.Redis"
) -> None:
    await fill(broker)
    marker = partial(keys.wake, "many")
    raw.delete(*map(marker, LANES[:-1]))
    async with broker.consumer(LANES) as consumer:
        assert await consumer.wait(5)
        assert not raw.exists(marker(LANES[-1]))
        assert lanes_of(await consumer.claim(1)) == LANES[:1]
        assert raw.exists(marker(LANES[-1]))
