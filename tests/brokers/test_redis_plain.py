"""Tasks of Redis that were sent without options: what is kept of them, and what it tells."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ltq.broker import Broker, Consumer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import CLAIM_TASKS
from ltq.brokers.redis._scripts.fields import claimed_at
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Delivery, Envelope, Finish, Receipt, Requeue
from ltq.state import Progress, Status
from tests.conformance.factories import QUEUE, claim_one, make_envelope

CLAIMED = {"status", "task", "body", "enqueue_time", "dequeue_count", "worker", "token"}

COMPLETED = CLAIMED - {"body"} | {"release_time", "result"}


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
async def consumer(broker: RedisBroker) -> AsyncIterator[Consumer]:
    async with broker.consumer([QUEUE]) as consumer:
        yield consumer


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def send(broker: Broker, count: int = 1) -> list[str]:
    """Send tasks as `task.send` does, whose task names no option."""
    envelopes = [make_envelope(max_deliveries=None) for _ in range(count)]
    await broker.publish(envelopes)
    return [one.id for one in envelopes]


def key_of(task_id: str) -> str:
    return keys.task("mail", task_id)


def names(client: redis.Redis, task_id: str) -> set[str]:
    return {str(name) for name in client.hkeys(key_of(task_id))}


async def counted(broker: Broker) -> tuple[int, float]:
    """How many claims the history has, and how long their tasks had waited, in seconds."""
    found = await broker.history(QUEUE, 3)
    return sum(one.wait.count for one in found), sum(one.wait.sum for one in found)


class TestKept:
    async def test_few_fields_are(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        assert names(client, task_id) == CLAIMED
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert names(client, task_id) == COMPLETED | {"body"}
        assert client.hget(key_of(task_id), "body") == ""
        assert client.ttl(key_of(task_id)) > 0

    @pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
    async def test_the_arguments_of_one_that_does_not_complete_are(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis, status: Status
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Finish(delivery.lease, status)])
        assert "body" in names(client, task_id)

    async def test_nothing_is_that_a_run_has_told(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        before = await broker.state(QUEUE, task_id)
        assert await broker.progress(delivery.lease, Progress(1))
        assert (await broker.state(QUEUE, task_id)).last_dequeue_time == before.last_dequeue_time
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert names(client, task_id) == COMPLETED | {"last_dequeue_time"}

    async def test_the_items_of_a_stream_end_with_its_state(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        assert await broker.append(delivery.lease, 0, [b"1", b"2"], 10)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1", result_ttl=50.0)])
        assert 0 < client.ttl(keys.items("mail", task_id)) <= 50
        assert (await broker.state(QUEUE, task_id)).items == 2

    async def test_one_that_an_earlier_release_has_claimed_ends_like_others(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        moment = client.hget(key_of(task_id), "enqueue_time") or ""
        client.hset(key_of(task_id), mapping={"last_dequeue_time": moment, "progress": "{}"})
        assert (await broker.state(QUEUE, task_id)).last_dequeue_time == float(moment)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert names(client, task_id) == COMPLETED | {"last_dequeue_time"}


class TestClaims:
    async def test_its_token_says_when_that_was(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        delivery = await claim_one(broker, consumer)
        state = await broker.state(QUEUE, task_id)
        assert state.last_dequeue_time == delivery.dequeue_time == delivery.lease.token / 1e6
        (worker,) = await broker.workers()
        assert worker.since == state.last_dequeue_time

    async def test_a_later_claim_is_told_as_well(
        self, broker: RedisBroker, consumer: Consumer, client: redis.Redis
    ) -> None:
        (task_id,) = await send(broker)
        first = await claim_one(broker, consumer)
        await broker.finish([Requeue(first.lease)])
        second = await claim_one(broker, consumer)
        assert second.lease.token > first.lease.token
        assert (await broker.state(QUEUE, task_id)).last_dequeue_time == second.dequeue_time
        assert (second.dequeue_count, second.deaths) == (2, 0)

    async def test_tokens_grow_in_the_order_of_the_tasks(
        self, broker: RedisBroker, consumer: Consumer
    ) -> None:
        ids = await send(broker, CLAIM_TASKS)
        deliveries = (await consumer.claim(CLAIM_TASKS)).deliveries
        assert [one.lease.id for one in deliveries] == ids
        tokens = [one.lease.token for one in deliveries]
        assert tokens == [*range(tokens[0], tokens[0] + len(ids))]

    async def test_an_outcome_is_fenced_by_them(
        self, broker: RedisBroker, consumer: Consumer
    ) -> None:
        await send(broker, 3)
        leases = [one.lease for one in (await consumer.claim(3)).deliveries]
        await broker.cancel(QUEUE, leases[1].id, 60.0)
        outcomes = [Finish(lease, Status.COMPLETED, b"1") for lease in leases]
        expected = [Receipt.OK, Receipt.CANCELLED, Receipt.OK]
        assert [await broker.finish(outcomes) for _ in range(2)] == [expected, expected]
        failed = [Finish(lease, Status.FAILED) for lease in leases]
        expected = [Receipt.STALE, Receipt.CANCELLED, Receipt.STALE]
        assert await broker.finish(failed) == expected

    async def test_with_other_tasks_between(self, broker: RedisBroker, consumer: Consumer) -> None:
        envelopes: list[Envelope] = [
            make_envelope(max_deliveries=None, max_tries=tries)
            for tries in (None, 3, None, 5, None)
        ]
        await broker.publish(envelopes)
        found: list[Delivery] = [*(await consumer.claim(9)).deliveries]
        assert [one.lease.id for one in found] == [one.id for one in envelopes]
        assert [one.max_tries for one in found] == [None, 3, None, 5, None]
        assert [one.body for one in found] == [one.body for one in envelopes]

    async def test_the_history_forgets_one_that_is_undone(self, redis_url: str) -> None:
        async with RedisBroker(redis_url) as broker:
            await send(broker, 120)
            async with broker.consumer([QUEUE]) as consumer:
                claimed = await consumer.claim(120)
                assert (await counted(broker))[0] == 120
                consumer._unclaimed.give_back(claimed.deliveries)  # type: ignore[attr-defined]  # as a cancelled claim does
            assert await counted(broker) == (0, 0.0)


class TestClaimedAt:
    @pytest.mark.parametrize(
        ("moment", "token", "expected"),
        [
            (None, None, None),
            (None, b"1796065137652760", 1796065137.65276),
            (b"1796065137.5", b"1796065137652760", 1796065137.5),
            (b"x", b"1796065137652760", None),
            (None, b"3", None),  # it was counted in another store
            (None, b"nan", None),
        ],
    )
    def test_what_is_kept_tells_it(
        self, moment: bytes | None, token: bytes | None, expected: float | None
    ) -> None:
        assert claimed_at(moment, token) == expected
