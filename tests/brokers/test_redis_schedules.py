"""Schedules in Redis, with keys that others have spoilt."""

import time
from collections.abc import AsyncIterator

import pytest
import redis

from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys

KEY = keys.slot("mail", "daily")


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


def make_slot(spec: str, scheduler: str) -> ScheduleSlot:
    due = int(time.time()) + 60
    return ScheduleSlot(
        schedule="daily", queue="mail:send", spec=spec, due=due, scheduler=scheduler
    )


@pytest.mark.parametrize(
    "spoilt", [{"holders": "x"}, {"holders": "a b c"}, {"due": "soon"}, {"last": ""}, {"spec": ""}]
)
async def test_what_others_have_spoilt_is_begun_anew(
    broker: RedisBroker, redis_url: str, spoilt: dict[str, str]
) -> None:
    await broker.fire(make_slot("a", "first"))
    with redis.Redis.from_url(redis_url) as client:
        client.hset(KEY, mapping=spoilt)
        client.lpush(keys.scheduler("mail", "second"), "x")
    for spec in "a", "b":
        receipt = await broker.fire(make_slot(spec, "second"))
        assert receipt.last == pytest.approx(time.time(), abs=61)
        assert receipt.since == pytest.approx(time.time(), abs=5)


async def test_one_that_was_paused_for_long_is_kept_from_its_resumption_on(
    broker: RedisBroker, redis_url: str
) -> None:
    await broker.fire(make_slot("a", "first"))
    await broker.pause_schedule("mail:send", "daily")
    with redis.Redis.from_url(redis_url) as client:
        client.hset(KEY, "due", int(time.time()) - 40 * 86400)
        assert await broker.resume_schedule("mail:send", "daily")
        assert client.ttl(KEY) == pytest.approx(30 * 86400, abs=60)
    (record,) = await broker.schedules(["daily"], "mail:send")
    assert (record.is_paused, record.resumed > 0) == (False, True)
