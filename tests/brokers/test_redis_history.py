"""The history of queues in Redis: spoilt figures, what it costs, and switching it off."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.broker import Broker, ConsumerConfig
from ltq.brokers._rules.constants import HISTORY_TTL
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import ConfigurationError
from ltq.message import Finish
from ltq.state import Minute, Status
from tests.conformance.factories import claim_one, publish, publish_many
from tests.eventually import eventually

QUEUE = "mail:send"


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def key_now(client: redis.Redis) -> str:
    return keys.history("mail", QUEUE, int(client.time()[0]) // 60)


async def end_one(broker: Broker) -> None:
    await publish(broker)
    async with broker.consumer([QUEUE]) as consumer:
        delivery = await claim_one(broker, consumer)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED)])


async def seen(broker: Broker, minutes: int = 3) -> Minute:
    """The last minute in which anything happened."""
    found = [one for one in await broker.history(QUEUE, minutes) if one.wait.count]
    return found[-1]


async def rejected(broker: Broker) -> int:
    """How many tasks were rejected in the last minutes."""
    return sum(minute.rejected for minute in await broker.history(QUEUE, 3))


class TestSpoiltFigures:
    @pytest.mark.parametrize("value", ["", "garbage", "nan", "1.5", "9223372036854775807"])
    async def test_a_number_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, value: str
    ) -> None:
        names = ("completed", "w0", "r0", "ws", "rs", "wx", "x", "r-1")
        client.hset(key_now(client), mapping=dict.fromkeys(names, value))
        await broker.history(QUEUE)
        for _ in range(2):
            await end_one(broker)
        await broker.history(QUEUE)
        assert 0 < client.ttl(key_now(client)) <= HISTORY_TTL

    async def test_a_key_of_another_type_is_replaced(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        client.set(key_now(client), "garbage")
        assert (await broker.history(QUEUE, 1))[0].completed == 0
        await end_one(broker)
        assert (await seen(broker)).completed == 1

    async def test_times_that_cannot_be_count_as_nothing(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        sent = await publish(broker)
        client.hset(keys.task("mail", sent.id), "enqueue_time", "nan")
        async with broker.consumer([QUEUE]) as consumer:
            await claim_one(broker, consumer)
        assert (await seen(broker)).wait.sum == 0.0


class TestUnusable:
    """A task whose data cannot be used is rejected, as its dead letter says."""

    async def test_what_a_claim_finds(self, broker: RedisBroker, client: redis.Redis) -> None:
        missing, spoilt, _ = await publish_many(broker, 3)
        client.delete(keys.task("mail", missing))
        client.set(keys.task("mail", spoilt), "garbage")
        async with broker.consumer([QUEUE]) as consumer:
            await claim_one(broker, consumer)
        assert await rejected(broker) == 2
        assert {letter.status for letter in await broker.dead_letters(QUEUE)} == {Status.REJECTED}

    async def test_a_claim_that_finds_nothing_else(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        (missing,) = await publish_many(broker, 1)
        client.delete(keys.task("mail", missing))
        async with broker.consumer([QUEUE]) as consumer:
            assert (await consumer.claim(1)).deliveries == []
        assert await rejected(broker) == 1

    async def test_what_a_sweep_finds(self, broker: RedisBroker, client: redis.Redis) -> None:
        sent = await publish(broker, delay=0.05)
        client.delete(keys.task("mail", sent.id))

        async def is_swept() -> bool:
            return (await broker.sweep([QUEUE])).lost == 1

        await eventually(is_swept)
        assert await rejected(broker) == 1

    async def test_a_broker_that_counts_nothing_does_not_count_them(self, redis_url: str) -> None:
        async with RedisBroker(f"{redis_url}?history=0") as silent:
            sent = await publish(silent)
            with redis.Redis.from_url(redis_url) as client:
                client.delete(keys.task("mail", sent.id))
            async with silent.consumer([QUEUE]) as consumer:
                assert (await consumer.claim(1)).deliveries == []
            assert await rejected(silent) == 0


class TestUnclaimed:
    async def test_a_claim_that_is_given_back_has_not_been(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        await publish_many(broker, 3)
        consumer = broker.open_consumer(ConsumerConfig(lanes=(QUEUE,), name="c", lease=15.0))
        deliveries = (await consumer.claim(2)).deliveries
        assert (await seen(broker)).wait.count == 2
        consumer._unclaimed.give_back(deliveries)  # type: ignore[attr-defined]  # of a claim cut off
        await consumer.aclose()
        figures = client.hgetall(key_now(client))
        assert sum(int(many) for name, many in figures.items() if name[0] == "w") == 0


class TestOff:
    async def test_what_another_broker_counts_is_read_all_the_same(
        self, redis_url: str, broker: RedisBroker
    ) -> None:
        async with RedisBroker(f"{redis_url}?history=0") as silent:
            await end_one(silent)
            sent = await publish(silent)
            await silent.cancel(QUEUE, sent.id, 60.0)
            assert all(minute == Minute(time=minute.time) for minute in await broker.history(QUEUE))
            await end_one(broker)
            assert (await seen(silent)).completed == 1

    @pytest.mark.parametrize("value", ["", "no", "2", "true", "-1"])
    def test_other_values_are_refused(self, redis_url: str, value: str) -> None:
        with pytest.raises(ConfigurationError, match="history="):
            RedisBroker(f"{redis_url}?history={value}")


async def test_a_day_is_read_in_several_calls(broker: RedisBroker, client: redis.Redis) -> None:
    now = int(client.time()[0]) // 60
    for age in (1, 239, 240, 241, 1000, 1438):
        client.hset(keys.history("mail", QUEUE, now - age), "completed", str(age))
    day = await broker.history(QUEUE, 1440)
    assert [minute.time for minute in day] == [60 * (day[0].time // 60 + i) for i in range(1440)]
    found = {now - int(minute.time) // 60: minute.completed for minute in day if minute.completed}
    assert found == {age: age for age in (1, 239, 240, 241, 1000, 1438)}
