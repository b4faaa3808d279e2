"""Schedules in Redis, with keys that others have spoilt."""

import time
from collections.abc import AsyncIterator

import pytest
import redis

from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.testing.conformance._schedules.kept import make_schedule

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


async def test_a_change_is_marked_although_others_have_spoilt_the_marks(
    broker: RedisBroker, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.schedule_marks, "x")
    assert await broker.schedule_marks() == {}
    await broker.put_schedule(make_schedule("daily"), int(time.time()) + 60)
    assert await broker.schedule_marks() == {"mail": 1}


@pytest.mark.parametrize("plan", ["", "{}", "[]", '{"task": 5}', '{"task": {}, "expr": 5}'])
async def test_one_whose_plan_is_spoilt_cannot_be_run_and_can_be_removed(
    broker: RedisBroker, redis_url: str, plan: str
) -> None:
    await broker.put_schedule(make_schedule("daily"), int(time.time()) + 60)
    with redis.Redis.from_url(redis_url) as client:
        assert b"plan" in client.hgetall(KEY)
        client.hset(KEY, "plan", plan)
    (record,) = await broker.schedules(["daily"])
    assert record.schedule is None
    assert await broker.remove_schedule("mail:send", "daily")
