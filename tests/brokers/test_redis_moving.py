"""Tasks in Redis that others have spoilt stay where they are when all others are moved."""

from collections.abc import AsyncIterator

import pytest
import redis

from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import new_id
from ltq.state import Status
from tests.cli.move_helpers import move_queue, waiting
from tests.conformance.factories import QUEUE, claim_ids, publish, publish_many


@pytest.fixture
async def source(redis_url: str) -> AsyncIterator[Broker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def target() -> Broker:
    return MemoryBroker(f"memory://{new_id()}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "x y"),
        ("lane", "other:lane"),
        ("enqueue_time", "nan"),
        ("enqueue_time", "0x10"),
        ("tags", "a a"),
        ("status", "strange"),
    ],
)
async def test_a_spoilt_one_stays_and_the_others_go(
    source: Broker, target: Broker, redis_admin: redis.Redis, field: str, value: str
) -> None:
    ids = await publish_many(source, 3)
    redis_admin.hset(keys.task("mail", ids[1]), mapping={"queue": QUEUE, field: value})
    before = redis_admin.hgetall(keys.task("mail", ids[1]))
    report = await move_queue(source, target)
    assert await waiting(target, Status.PENDING) == [ids[0], ids[2]]
    assert redis_admin.hgetall(keys.task("mail", ids[1])) == before
    assert not report.is_whole


async def test_a_letter_without_arguments_stays(
    source: Broker, target: Broker, redis_admin: redis.Redis
) -> None:
    lost, task = await publish(source), await publish(source)
    redis_admin.delete(keys.task("mail", lost.id))
    async with source.consumer([QUEUE]) as consumer:
        assert await claim_ids(consumer, 1) == [task.id]
    assert [one.body for one in await source.dead_letters(QUEUE)] == [None]
    report = await move_queue(source, target)
    (moved,) = report.queues
    assert (moved.dead, moved.left, moved.running) == (0, 1, 1)
    assert [one.id for one in await source.dead_letters(QUEUE)] == [lost.id]


async def test_a_delayed_one_without_a_moment_is_due_at_once(
    source: Broker, target: Broker, redis_admin: redis.Redis
) -> None:
    task = await publish(source, delay=600.0)
    (parcel,) = await source.pack(QUEUE, [task.id])
    assert parcel is not None
    redis_admin.zrem(keys.delayed("mail", QUEUE), task.id)
    (parcel,) = await source.pack(QUEUE, [task.id])
    assert parcel is not None
    assert (parcel.status, parcel.when) == (Status.DELAYED, 0.0)


async def test_many_large_ones_are_packed_in_parts(source: Broker, target: Broker) -> None:
    ids = [(await publish(source, body=b"x" * 300_000)).id for _ in range(8)]
    assert (await move_queue(source, target)).is_whole
    assert await waiting(target, Status.PENDING) == ids
