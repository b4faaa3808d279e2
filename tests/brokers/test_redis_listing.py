"""The list of final tasks that Redis keeps, and lists of tasks in odd keys."""

import pytest
import redis

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import ConfigurationError
from ltq.message import Finish
from ltq.names import namespace_of
from ltq.options import MAX_FINAL
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_one, publish, publish_many

FINAL = keys.final(namespace_of(QUEUE), QUEUE)


@pytest.fixture
def server(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


async def end(broker: RedisBroker, count: int, result_ttl: float = 60.0) -> list[str]:
    sent = await publish_many(broker, count)
    async with broker.consumer([QUEUE]) as consumer:
        deliveries = (await consumer.claim(count)).deliveries
    await broker.finish(
        [Finish(one.lease, Status.COMPLETED, result_ttl=result_ttl) for one in deliveries]
    )
    return sent


async def test_it_lives_a_minute_longer_than_the_states(
    redis_url: str, server: redis.Redis
) -> None:
    async with RedisBroker(redis_url) as broker:
        await end(broker, 3, 60.0)
        assert 110_000 < int(server.pttl(FINAL)) <= 120_000
        await end(broker, 1, 5.0)
        assert 110_000 < int(server.pttl(FINAL)) <= 120_000
        await end(broker, 1, 90.0)  # that is covered
        assert 110_000 < int(server.pttl(FINAL)) <= 120_000
        await end(broker, 1, 130.0)
        assert 180_000 < int(server.pttl(FINAL)) <= 190_000
        assert server.llen(FINAL) == 6


async def test_it_holds_the_newest(redis_url: str, server: redis.Redis) -> None:
    async with RedisBroker(redis_url) as broker:
        server.rpush(
            FINAL, *(f"1700000000.{number:06d} old-{number}" for number in range(MAX_FINAL))
        )
        newest = await end(broker, 50)
        assert server.llen(FINAL) == MAX_FINAL
        listed = await broker.tasks(QUEUE, status=Status.COMPLETED)
        assert sorted(task.id for task in listed.items) == sorted(newest)


async def test_the_oldest_go_when_their_states_are_gone(
    redis_url: str, server: redis.Redis
) -> None:
    async with RedisBroker(redis_url) as broker:
        gone = await end(broker, 3)
        kept = await end(broker, 2)
        for task_id in gone:
            server.delete(keys.task(namespace_of(QUEUE), task_id))
        page = await broker.tasks(QUEUE)
        assert {task.id for task in page.items} == set(kept)
        assert server.llen(FINAL) == 2


async def test_nothing_is_kept_where_it_is_not_wanted(redis_url: str, server: redis.Redis) -> None:
    sign = "&" if "?" in redis_url else "?"
    async with RedisBroker(f"{redis_url}{sign}list_final=0") as broker:
        (done,) = await end(broker, 1)
        cancelled = await publish(broker)
        await broker.cancel(QUEUE, cancelled.id, 60.0)
        await publish(broker, max_deliveries=1)
        async with broker.consumer([QUEUE], lease=0.05) as consumer:
            await claim_one(broker, consumer)
        while not (await broker.sweep([QUEUE])).buried:
            pass
        assert server.exists(FINAL) == 0
        assert (await broker.tasks(QUEUE)).items == ()
        assert (await broker.state(QUEUE, done)).status is Status.COMPLETED
    async with RedisBroker(redis_url) as broker:
        await end(broker, 1)
    async with RedisBroker(f"{redis_url}{sign}list_final=0") as broker:
        assert (await broker.tasks(QUEUE, status="completed")).items == ()


async def test_what_the_url_says_is_checked(redis_url: str) -> None:
    sign = "&" if "?" in redis_url else "?"
    with pytest.raises(ConfigurationError, match="list_final='no' is not allowed"):
        RedisBroker(f"{redis_url}{sign}list_final=no")


@pytest.mark.parametrize("kind", ["string", "entries"])
async def test_a_spoilt_list_stops_nothing(redis_url: str, server: redis.Redis, kind: str) -> None:
    async with RedisBroker(redis_url) as broker:
        if kind == "string":
            server.set(FINAL, "spoilt")
        else:
            server.rpush(FINAL, "spoilt", "", "x y z", "nan nan")
        await broker.tasks(QUEUE)
        sent = await end(broker, 1)
        page = await broker.tasks(QUEUE, limit=1)
        assert [task.id for task in page.items] == sent
        while page.cursor is not None:
            page = await broker.tasks(QUEUE, limit=1, cursor=page.cursor)


async def test_ids_without_a_task_are_left_out(redis_url: str, server: redis.Redis) -> None:
    namespace = namespace_of(QUEUE)
    async with RedisBroker(redis_url) as broker:
        sent = await publish_many(broker, 3)
        server.rpush(keys.ready(namespace, QUEUE, 1), "nobody")
        server.zadd(keys.delayed(namespace, QUEUE), {"nobody": float("inf"), sent[0]: 5.0})
        server.zadd(keys.leases(namespace, QUEUE), {"nobody": 7.0})
        server.set(keys.task(namespace, sent[1]), "no hash")
        page = await broker.tasks(QUEUE, limit=1)
        found = [*page.items]
        while page.cursor is not None:
            page = await broker.tasks(QUEUE, limit=1, cursor=page.cursor)
            found += page.items
        assert [task.id for task in found] == [sent[0], sent[2]]


async def test_one_that_was_cancelled_and_sent_again_is_listed_once(redis_url: str) -> None:
    """Its first entry is still in the long list, and is skipped."""
    async with RedisBroker(redis_url) as broker:
        ids = await publish_many(broker, 1001)
        again = ids[500]
        await broker.cancel(QUEUE, again, 0.0)
        await publish(broker, id=again)
        page = await broker.tasks(QUEUE, limit=1000)
        found = [task.id for task in page.items]
        while page.cursor is not None:
            page = await broker.tasks(QUEUE, limit=1000, cursor=page.cursor)
            found += [task.id for task in page.items]
        assert found == [*(one for one in ids if one != again), again]


@pytest.mark.parametrize("status", [Status.PENDING, Status.DELAYED])
@pytest.mark.parametrize("is_last_gone", [False, True])
async def test_a_page_takes_as_many_commands_wherever_it_begins(
    redis_url: str, server: redis.Redis, status: Status, is_last_gone: bool
) -> None:
    """Also if all of these tasks were sent together, or are due together."""
    async with RedisBroker(redis_url) as broker:
        due = await broker.time() + 60.0
        sent = await publish_many(broker, 2000, eta=due if status is Status.DELAYED else None)
        if status is Status.DELAYED:  # as if each was sent by itself
            server.zadd(keys.delayed(namespace_of(QUEUE), QUEUE), dict.fromkeys(sent, due))
        commands: list[int] = []
        cursor: str | None = None
        while not commands or cursor is not None:
            server.config_resetstat()
            page = await broker.tasks(QUEUE, status=status, limit=50, cursor=cursor)
            stats = server.info("commandstats")
            commands.append(sum(each["calls"] for each in stats.values()))
            cursor = page.cursor
            if is_last_gone:
                await broker.cancel(QUEUE, page.items[-1].id, 60.0)
        assert len(commands) == 40
        assert max(commands) <= commands[0] + 100
