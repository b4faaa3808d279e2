"""Looking at tasks and queues whose keys somebody has spoilt."""

import redis

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from tests.conformance.factories import QUEUE, make_worker_entry, publish, publish_many

LONG = 500
"""Up to so many entries of a ready list (`SHORT_LIST`), an unwanted one is looked for."""


async def test_a_task_that_is_no_hash_has_no_arguments(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.task("mail", "spoilt"), "text")
    async with RedisBroker(redis_url) as broker:
        assert await broker.body(QUEUE, "spoilt") is None


async def test_nor_has_it_a_state(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.task("mail", "spoilt"), "text")
    async with RedisBroker(redis_url) as broker:
        assert await broker.states(QUEUE, ["spoilt"]) == [None]
        assert await broker.find("spoilt") is None


async def test_a_delayed_task_whose_list_is_spoilt_has_no_due_time(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker:
        sent = await publish(broker, delay=60)
        with redis.Redis.from_url(redis_url) as raw:
            raw.delete(keys.delayed("mail", QUEUE))
            assert (await broker.state(QUEUE, sent.id)).due_time is None
            raw.set(keys.delayed("mail", QUEUE), "text")
            assert (await broker.state(QUEUE, sent.id)).due_time is None
            assert raw.get(keys.delayed("mail", QUEUE)) == b"text", "looking changes nothing"


async def test_a_consumer_whose_queues_cannot_be_noted_claims_all_the_same(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker, RedisBroker(redis_url) as other:
        sent = await publish(broker)
        with redis.Redis.from_url(redis_url) as raw:
            raw.delete(keys.lanes("mail"))
            raw.set(keys.lanes("mail"), "text")
        async with other.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries
        assert delivery.lease.id == sent.id


async def test_nor_does_a_full_memory_keep_a_consumer_from_claiming(redis_executable: str) -> None:
    with RedisServer(redis_executable, "--maxmemory-policy", "noeviction") as server:
        async with RedisBroker(server.url) as broker, RedisBroker(server.url) as other:
            sent = await publish(broker)
            with redis.Redis.from_url(server.url) as raw:
                raw.config_set("maxmemory", "1")
            async with other.consumer([QUEUE, "mail:other"]) as consumer:
                (delivery,) = (await consumer.claim(1)).deliveries
            assert delivery.lease.id == sent.id


async def test_nor_does_it_keep_tasks_from_being_moved_away(redis_executable: str) -> None:
    with RedisServer(redis_executable, "--maxmemory-policy", "noeviction") as server:
        async with RedisBroker(server.url) as broker:
            many = await publish_many(broker, 2 * LONG)  # in a long list an entry is only marked
            delayed = await publish(broker, delay=60)
            ids = [many[LONG], delayed.id]
            with redis.Redis.from_url(server.url) as raw:
                raw.config_set("maxmemory", "1")
            await broker.pause(QUEUE)
            parcels = await broker.pack(QUEUE, ids)
            assert await broker.drop([one for one in parcels if one is not None]) == []
            assert await broker.states(QUEUE, ids) == [None, None]


async def test_a_worker_whose_words_are_spoilt_is_left_out(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker:
        for name in ("good", "bad"):
            await broker.announce(make_worker_entry(name=name))
        with redis.Redis.from_url(redis_url) as raw:
            (key,) = raw.keys("ltq:{*}:worker:bad")
            raw.set(key, "x", keepttl=True)
        assert [one.name for one in await broker.workers()] == ["good"]
