"""Which isolation a task needs is decided once, by the claim's script, as `isolation_of` says."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.broker import isolation_of
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Finish
from ltq.state import Status
from tests.conformance.factories import QUEUE, publish

DEATHS = range(-1, 16)
VERY_MANY = 10**10
"""More than any isolation allows beside a task."""


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def isolations(
    broker: RedisBroker, client: redis.Redis, deaths: str, most: int | None
) -> list[int | None]:
    """What a claim says of a task: when it is refused, given, and given once more."""
    task = await publish(broker, max_deliveries=most)
    client.hset(keys.task("mail", task.id), "deaths", deaths)
    async with broker.consumer([QUEUE]) as consumer:
        assert isinstance(consumer, RedisConsumer)
        group = consumer._groups[0]
        found = []
        if isolation_of(int(deaths), most) is not None:
            refused = await consumer.claim(1, VERY_MANY)
            assert refused.deliveries == []
            found.append(refused.isolation)
        claim_id = group.claim_id
        (delivery,) = (await consumer.claim(1)).deliveries
        found.append(delivery.isolation)
        group.claim_id, group.again = claim_id, "1"  # as if the reply had been lost
        (again,) = (await consumer.claim(1)).deliveries
        found.append(again.isolation)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED)])
    return found


@pytest.mark.parametrize("most", [None, *range(1, 14)])
async def test_it_is_the_rule_of_python(
    broker: RedisBroker, client: redis.Redis, most: int | None
) -> None:
    for deaths in DEATHS:
        found = await isolations(broker, client, str(deaths), most)
        assert set(found) == {isolation_of(deaths, most)}, deaths


async def test_a_count_of_deaths_that_is_none_counts_as_no_death(
    broker: RedisBroker, client: redis.Redis
) -> None:
    for deaths in ("", "abc", "nan", "-1"):
        task = await publish(broker)
        client.hset(keys.task("mail", task.id), "deaths", deaths)
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1, VERY_MANY)).deliveries
        assert delivery.isolation is None
