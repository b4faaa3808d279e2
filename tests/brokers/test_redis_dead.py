"""Dead letters on a real server: what is in Redis, lost replies, bounds, and hostile data."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.message import Finish, Published
from ltq.options import DEAD_TTL, MAX_DEAD
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_one, make_envelope, publish

DEAD = keys.dead("mail", QUEUE)


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def bury(broker: RedisBroker) -> str:
    task = await publish(broker)
    await kill(broker)
    return task.id


async def kill(broker: RedisBroker) -> None:
    """Let the next task end as FAILED."""
    async with broker.consumer([QUEUE]) as consumer:
        lease = (await claim_one(broker, consumer)).lease
    await broker.finish([Finish(lease, Status.FAILED, dead=True)])


class TestLostReplies:
    """The same script call again, as after a lost reply."""

    async def replay(self, broker: RedisBroker, call_id: str, task_id: str) -> str:
        prefix = keys.prefix("mail")
        call = calls.ReplayCall(prefix=prefix, queue=QUEUE, call=call_id, ids=[task_id])
        (answer,) = await broker._here().links.any.evaluate(call)
        return answer.value

    async def test_a_replay_is_answered_as_before(self, broker: RedisBroker) -> None:
        task_id = await bury(broker)
        assert [await self.replay(broker, "1", task_id) for _ in range(3)] == ["created"] * 3
        assert await self.replay(broker, "2", task_id) == "gone"
        assert (await broker.stats([QUEUE]))[0].pending == 1

    async def test_also_when_the_task_has_ended_meanwhile(self, broker: RedisBroker) -> None:
        task_id = await bury(broker)
        await self.replay(broker, "1", task_id)
        async with broker.consumer([QUEUE]) as consumer:
            await broker.release((await claim_one(broker, consumer)).lease)
        assert await self.replay(broker, "1", task_id) == "created"
        assert (await broker.state(QUEUE, task_id)).status is Status.COMPLETED

    async def test_also_when_the_task_has_died_meanwhile(self, broker: RedisBroker) -> None:
        task_id = await bury(broker)
        await self.replay(broker, "1", task_id)
        await kill(broker)
        assert await self.replay(broker, "1", task_id) == "created"
        assert (await broker.state(QUEUE, task_id)).status is Status.FAILED
        assert await self.replay(broker, "2", task_id) == "created"
        assert (await broker.state(QUEUE, task_id)).status is Status.PENDING


class TestLife:
    async def test_a_letter_ends_by_itself_and_a_replayed_task_does_not(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task_id = await bury(broker)
        letter, task = keys.dead_letter("mail", task_id), keys.task("mail", task_id)
        assert DEAD_TTL - 60 < client.ttl(letter) <= DEAD_TTL
        assert DEAD_TTL - 60 < client.ttl(DEAD) <= DEAD_TTL
        await broker.replay(QUEUE, [task_id])
        assert (client.exists(letter, DEAD), client.ttl(task)) == (0, -1)

    async def test_one_that_has_ended_is_neither_shown_nor_counted(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        old, young = [await bury(broker) for _ in range(2)]
        client.delete(keys.dead_letter("mail", old))
        client.zincrby(DEAD, -DEAD_TTL, old)
        assert [letter.id for letter in await broker.dead_letters(QUEUE)] == [young]
        assert (await broker.stats([QUEUE]))[0].dead == 1
        assert await broker.purge(QUEUE) == 1
        assert client.exists(DEAD) == 0

    async def test_only_the_newest_of_a_queue_stay(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        oldest, second = [await bury(broker) for _ in range(2)]
        now = client.time()[0]
        client.zadd(DEAD, {f"other-{number}": now + 1 for number in range(MAX_DEAD - 2)})
        client.zadd(DEAD, {oldest: now - 10, second: now - 9})
        await bury(broker)
        assert client.zcard(DEAD) == MAX_DEAD
        assert client.exists(keys.dead_letter("mail", oldest)) == 0
        assert client.exists(keys.dead_letter("mail", second)) == 1


class TestHostileData:
    async def test_a_task_that_is_no_hash_cannot_be_replayed(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task = await publish(broker)
        client.delete(keys.task("mail", task.id))
        client.set(keys.task("mail", task.id), "text", ex=60)
        async with broker.consumer([QUEUE]) as consumer:
            await consumer.claim(1)
        letter = await broker.dead_letter(None, task.id)
        assert (letter.queue, letter.status) == (QUEUE, Status.REJECTED)
        assert (letter.task_name, letter.body) == ("", None)
        assert await broker.replay(QUEUE, [task.id]) == [Published.EMPTY]
        assert await broker.dead_letters(QUEUE) == [letter]
        assert await broker.purge(QUEUE, [task.id]) == 1

    async def test_what_is_no_task_does_not_stop_a_replay(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task_id = await bury(broker)
        client.delete(keys.task("mail", task_id))
        client.set(keys.task("mail", task_id), "text", ex=60)
        assert await broker.replay(QUEUE, [task_id]) == [Published.CREATED]
        assert (await broker.state(QUEUE, task_id)).status is Status.PENDING

    async def test_a_hash_of_very_many_fields_is_kept_whole(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task = await publish(broker)
        client.hset(keys.task("mail", task.id), mapping={f"f{number}": 1 for number in range(9001)})
        await kill(broker)
        assert client.hlen(keys.dead_letter("mail", task.id)) > 9001

    async def test_a_letter_that_is_no_hash_is_none(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task_id = await bury(broker)
        client.delete(keys.dead_letter("mail", task_id))
        client.set(keys.dead_letter("mail", task_id), "text", ex=60)
        assert await broker.dead_letters(QUEUE) == []
        with pytest.raises(TaskNotFoundError):
            await broker.dead_letter(None, task_id)
        assert await broker.replay(QUEUE, [task_id]) == [Published.GONE]
        assert await broker.purge(QUEUE, [task_id]) == 0
        assert await broker.purge(QUEUE) == 1

    @pytest.mark.parametrize("field", ["release_time", "tries", "deaths", "enqueue_time"])
    async def test_a_number_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, field: str
    ) -> None:
        task_id = await bury(broker)
        client.hset(keys.dead_letter("mail", task_id), field, "abc")
        (letter,) = await broker.dead_letters(QUEUE)
        assert letter.id == task_id
        assert await broker.replay(QUEUE, [task_id]) == [Published.CREATED]


async def test_letters_are_kept_and_replayed_without_memory_to_spare(
    broker: RedisBroker, client: redis.Redis
) -> None:
    task = await publish(broker)
    async with broker.consumer([QUEUE]) as consumer:
        lease = (await claim_one(broker, consumer)).lease
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(BrokerError):
            await broker.publish([make_envelope()])
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        assert await broker.replay(QUEUE, [task.id]) == [Published.CREATED]
    finally:
        client.config_set("maxmemory", "0")
    assert (await broker.stats([QUEUE]))[0].pending == 1
