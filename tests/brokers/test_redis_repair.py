"""Keys are lost: tasks get their place back, or a letter says what became of them."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._doctor.inventory import take_inventory
from ltq.brokers.redis._operations import repair, sweep
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import BrokerError
from ltq.message import Delivery
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_ids, lose, publish, publish_many
from tests.elapse import elapse
from tests.eventually import eventually


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def claim(broker: RedisBroker, lease: float = 15.0) -> list[Delivery]:
    async with broker.consumer([QUEUE], lease=lease) as consumer:
        return (await consumer.claim(1000)).deliveries


async def displaced(broker: RedisBroker) -> int:
    """How many tasks `ltq doctor` finds without a place."""
    link = broker._opening.new_link()
    found = await take_inventory([link], 10_000)
    await link.aclose()
    return found.displaced.get("mail", 0)


class TestNothingLost:
    async def test_nothing_is_done(self, broker: RedisBroker, client: redis.Redis) -> None:
        await publish(broker)
        await claim(broker)
        first, second = await publish_many(broker, 2)
        await publish(broker, delay=60)
        async with broker.consumer([QUEUE]) as consumer:
            await broker.requeue((await consumer.claim(1)).deliveries[0].lease)
        before = {key: client.dump(key) for key in client.scan_iter()}
        assert await broker.repair([QUEUE]) == 0
        assert {key: client.dump(key) for key in client.scan_iter()} == before
        assert await claim_ids(consumer, 3) == [second, first]

    async def test_in_a_long_queue_neither(self, broker: RedisBroker) -> None:
        await publish_many(broker, 5000)
        await claim(broker)
        assert await broker.repair([QUEUE]) == 0


class TestWithoutAPlace:
    async def test_a_ready_list_is_made_again(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2500)
        client.delete(keys.ready("mail", QUEUE, 1), keys.active("mail"))
        assert await broker.repair([QUEUE]) == 2500
        found = [delivery.lease.id for _ in range(3) for delivery in await claim(broker)]
        assert sorted(found) == sorted(ids)

    async def test_one_task_among_others(self, broker: RedisBroker, client: redis.Redis) -> None:
        first, second, third = await publish_many(broker, 3)
        lost = await publish(broker, priority=0)
        client.lrem(keys.ready("mail", QUEUE, 1), 1, first)
        client.lrem(keys.ready("mail", QUEUE, 0), 1, lost.id)
        await publish(broker, priority=0)
        assert await broker.repair([QUEUE]) >= 1
        ids = [delivery.lease.id for delivery in await claim(broker)]
        assert {second, third, lost.id} <= set(ids)
        assert len(ids) == len(set(ids))

    async def test_one_whose_only_entries_are_to_be_skipped(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        """An id was cancelled in a long list and sent again. Its last entry is lost then."""
        before, _, twice, *behind = await publish_many(broker, 6)
        ready, skipped = keys.ready("mail", QUEUE, 1), keys.skipped("mail", QUEUE, 1)
        client.linsert(ready, "BEFORE", twice, twice)
        client.hset(skipped, mapping={"": 1, twice: 1})
        assert await displaced(broker) == 0
        assert await broker.repair([QUEUE]) == 0, "it waits"
        client.lrem(ready, -1, twice)
        client.lrem(ready, 1, before)
        assert await displaced(broker) == 2
        assert await broker.repair([QUEUE]) == 2
        assert await displaced(broker) == 0
        ids = [delivery.lease.id for delivery in await claim(broker)]
        assert sorted(ids) == sorted(set(ids))
        assert {before, twice, *behind} <= set(ids)
        assert client.exists(ready, skipped) == 0

    @pytest.mark.parametrize("left", [0, 1])
    async def test_more_is_to_be_skipped_than_there_is(
        self, broker: RedisBroker, client: redis.Redis, left: int
    ) -> None:
        first, lost, *_ = await publish_many(broker, 3)
        ready, skipped = keys.ready("mail", QUEUE, 1), keys.skipped("mail", QUEUE, 1)
        if not left:
            client.lrem(ready, 1, lost)
        client.hset(skipped, mapping={"": 3, lost: 3})
        client.lrem(ready, 1, first)  # it makes the list worth reading
        assert await broker.repair([QUEUE]) == 2
        ids = [delivery.lease.id for delivery in await claim(broker)]
        assert ids.count(lost) == ids.count(first) == 1
        assert client.exists(ready, skipped) == 0

    async def test_indexes_are_made_again(self, broker: RedisBroker, client: redis.Redis) -> None:
        held = await publish(broker)
        await claim(broker, lease=0.2)
        ready = await publish(broker)
        delayed = await publish(broker, delay=0.2)
        client.delete(*(index("mail") for index in INDEXES))
        client.delete(keys.namespaces)
        await broker.repair([QUEUE])
        assert await broker.queues() == [QUEUE]
        found: set[str] = set()

        async def all_found() -> bool:
            found.update(delivery.lease.id for delivery in await claim(broker))
            return found == {held.id, ready.id, delayed.id}

        await eventually(all_found)

    async def test_a_delayed_task_is_ready(self, broker: RedisBroker, client: redis.Redis) -> None:
        task = await publish(broker, delay=60)
        client.delete(keys.delayed("mail", QUEUE))
        assert await broker.repair([QUEUE]) == 1
        assert (await broker.state(QUEUE, task.id)).status is Status.PENDING
        assert [delivery.lease.id for delivery in await claim(broker)] == [task.id]

    async def test_a_working_task_gets_a_lease_that_its_worker_may_renew(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        task = await publish(broker)
        (delivery,) = await claim(broker)
        client.delete(keys.leases("mail", QUEUE))
        assert await broker.repair([QUEUE]) == 1
        assert await broker.heartbeat([delivery.lease], 0.05) == []
        await lose(broker, delivery)
        assert [delivery.lease.id for delivery in await claim(broker)] == [task.id]

    async def test_what_is_final_is_left_alone(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        await publish(broker)
        (delivery,) = await claim(broker)
        await broker.release(delivery.lease)
        client.set(keys.task("mail", "text"), "text")
        client.hset(keys.task("mail", "half"), "status", "pending")
        assert await broker.repair([QUEUE]) == 0

    async def test_one_of_many_workers_looks(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        await publish(broker)
        client.delete(keys.ready("mail", QUEUE, 1))
        assert await broker.repair([QUEUE], every=60) == 1
        client.delete(keys.ready("mail", QUEUE, 1))
        assert await broker.repair([QUEUE], every=60) == 0
        assert await broker.repair([QUEUE]) == 1


INDEXES = (keys.active, keys.due, keys.lease_ends, keys.lanes)


class TestWithoutATask:
    async def test_a_ready_id_leaves_a_letter(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        lost, good = await publish_many(broker, 2)
        client.delete(keys.task("mail", lost))
        assert [delivery.lease.id for delivery in await claim(broker)] == [good]
        await self.check(broker, lost)

    async def test_a_lease_leaves_a_letter(self, broker: RedisBroker, client: redis.Redis) -> None:
        (lost,) = await publish_many(broker, 1)
        await claim(broker, lease=0.05)
        client.delete(keys.task("mail", lost))
        await self.swept(broker)
        await self.check(broker, lost)

    async def test_a_delayed_id_leaves_a_letter(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        lost = await publish(broker, delay=0.05)
        client.delete(keys.task("mail", lost.id))
        await self.swept(broker)
        await self.check(broker, lost.id)

    async def swept(self, broker: RedisBroker) -> None:
        async def is_lost() -> bool:
            return (await broker.sweep([QUEUE])).lost == 1

        await eventually(is_lost)

    async def check(self, broker: RedisBroker, lost: str) -> None:
        letter = await broker.dead_letter(QUEUE, lost)
        assert (letter.status, letter.body) == (Status.REJECTED, None)
        assert letter.error == "the task's data is missing"
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.dead) == (0, 0, 1)


class TestStaleIds:
    async def test_very_many_do_not_make_one_long_script(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        held = await publish(broker)
        await claim(broker)
        client.rpush(keys.ready("mail", QUEUE, 1), *[held.id] * 5000)
        (good,) = await publish_many(broker, 1)
        async with broker.consumer([QUEUE]) as consumer:
            first = await consumer.claim(10)
            assert first.due_in == 0
            left = client.llen(keys.ready("mail", QUEUE, 1))
            assert 4000 < left < 5000
            found: list[str] = []
            while not found:
                found = await claim_ids(consumer, 10)
        assert found == [good]


class TestCopy:
    async def test_a_list_that_could_not_be_read_is_not_made_again(
        self, broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await publish_many(broker, 1000)
        monkeypatch.setattr(repair, "_COPY_TTL", 0)  # it goes before it is read
        with pytest.raises(BrokerError, match="was deleted before it was read"):
            await broker.repair([QUEUE])
        assert client.llen(keys.ready("mail", QUEUE, 1)) == 1000
        assert client.keys("*copied*") == []


async def test_a_list_of_namespaces_of_a_wrong_type_is_made_anew(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.namespaces, "a text")
        async with RedisBroker(redis_url) as broker:
            await publish(broker)
            assert [queue.queue for queue in await broker.stats([QUEUE])] == [QUEUE]
        assert client.smembers(keys.namespaces) == {b"mail"}


async def test_a_sweep_goes_on_until_nothing_is_left(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_SWEEP_TASKS", 2)
    monkeypatch.setattr(sweep, "_SWEEP_CALLS", 3)
    async with RedisBroker(redis_url) as broker:
        await publish_many(broker, 9)
        async with broker.consumer([QUEUE], lease=0.001) as consumer:
            assert len(await broker.claim(consumer, 9)) == 9
        await elapse(0.005, "the leases have to be over by the clock of the server")
        taken = [(await broker.sweep([QUEUE])).recovered for _ in range(3)]
    assert taken == [6, 3, 0]
