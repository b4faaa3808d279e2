"""What the model and the fuzzers found, at its smallest. Each goes to its place once it passes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import redis

from ltq import Worker
from ltq._aio.clock import system_clock
from ltq.broker import Broker, Claim, ClaimBudget, ConsumerConfig
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.memory._store import MemoryStore
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.replies import task_state
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import TaskNotFoundError
from ltq.message import Finish, Receipt
from ltq.options import Priority
from ltq.state import Status
from tests.conformance.factories import claim_ids, make_envelope, publish, publish_many
from tests.eventually import eventually


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_error_about_a_file_name_takes_no_other_outcome_with_it(
    broker: RedisBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "ltq")  # a captured surrogate upsets test runners
    worker = Worker("shop", broker=broker, lease=30.0, shutdown_timeout=0.2)
    together = asyncio.Barrier(2)

    @worker.task
    async def good() -> int:
        await together.wait()
        return 1

    @worker.task
    async def bad() -> None:
        await together.wait()
        raise FileNotFoundError("caf\udce9.txt")

    async with worker:
        one, other = await good.send(), await bad.send()
        assert (await one.wait(timeout=10.0)).status is Status.COMPLETED
        assert (await other.wait(timeout=10.0)).status is Status.FAILED


UNREADABLE = {
    "bytes that are no text": b'{"current":1,"note":"\xff"}',
    "nested too deep": b'{"a":' * 3000,
}


@pytest.mark.parametrize("progress", UNREADABLE.values(), ids=UNREADABLE)
def test_a_progress_that_cannot_be_read_is_none(progress: bytes) -> None:
    state = task_state("id", [b"working", b"mail:send", *[None] * 9, progress, *[None] * 12])
    assert state is not None
    assert state.progress is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_task_that_cannot_be_read_does_not_blind_the_watchers_of_others(
    redis_url: str,
) -> None:
    broker = RedisBroker(f"{redis_url}?notifications=poll")  # all are read together
    ids = await publish_many(broker, 2)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(keys.task("mail", ids[0]), "progress", UNREADABLE["bytes that are no text"])
    feed = broker.feed("mail:send", ids[0])
    try:
        async for state in broker.watch("mail:send", ids[1], timeout=0.5):
            assert state.status is Status.PENDING
            break
    finally:
        feed.close()
        await broker.aclose()


class CountedStore(MemoryStore):
    """Counts the claims made."""

    claims = 0

    def claim(self, consumer: ConsumerConfig, budget: ClaimBudget) -> Claim:
        self.claims += 1
        return super().claim(consumer, budget)


async def test_a_burst_waits_for_a_rate_limit_without_spinning() -> None:
    broker = MemoryBroker("memory://spinning")
    store = broker._store = CountedStore(system_clock)
    worker = Worker("spin", broker=broker)

    @worker.task(max_rate="5/s")
    async def limited() -> None: ...

    await limited.send_many([limited.message() for _ in range(7)])
    await worker.run(burst=True)
    assert store.claims < 50


async def test_a_burst_ends_beside_another_workers_rate_limited_task() -> None:
    broker = MemoryBroker("memory://foreign-lane")
    theirs, ours = Worker("theirs", broker=broker), Worker("ours", broker=broker)

    @theirs.task(queue="shared", max_rate="5/s")
    async def limited() -> None: ...

    @ours.task(queue="shared")
    async def free() -> None: ...

    await limited.send()
    async with asyncio.timeout(0.5):
        await ours.run(burst=True)


async def due(broker: RedisBroker) -> None:
    """Wait until a delayed task is due, without moving it."""
    async with broker.consumer(["mail:none"]) as consumer:
        assert isinstance(consumer, RedisConsumer)
        group = consumer._groups[0]
        link = group.link

        async def now() -> bool:
            nothing = calls.ClaimCall(
                prefix=group.prefix,
                claim_id="id",
                consumer="c",
                lease=1.0,
                limit=0,
                running=0,
                lanes="",
                limits=[],
            )
            return (await link.evaluate(nothing)).answer is calls.ClaimAnswer.DUE

        await eventually(now)


async def test_what_is_due_counts_for_the_priority(broker: RedisBroker) -> None:
    high = await publish(broker, priority=Priority.HIGH, delay=0.01)
    await publish(broker, priority=Priority.LOW)
    await due(broker)
    async with broker.consumer(["mail:send"]) as consumer:
        assert await claim_ids(consumer, 1) == [high.id]


async def test_what_is_left_of_a_lost_task_brings_no_company_to_one_that_needs_none(
    broker: RedisBroker,
) -> None:
    alone = await publish(broker, max_deliveries=2)
    async with broker.consumer(["mail:send"], lease=0.02) as consumer:
        await consumer.claim(1)

    async def swept() -> bool:
        return (await broker.sweep(["mail:send"])).recovered == 1

    await eventually(swept)
    lost, *_ = await publish_many(broker, 3)
    await broker._here().links.any.call("DEL", keys.task("mail", lost))
    async with broker.consumer(["mail:send"]) as consumer:
        assert await claim_ids(consumer, 10) == [alone.id]


async def test_a_token_is_never_given_twice_though_the_clock_stands_still() -> None:
    broker: Broker = MemoryBroker("memory://still", clock=lambda: 1000.0)
    envelope = make_envelope()
    async with broker.consumer(["mail:send"]) as consumer:
        await broker.publish([envelope])
        (old,) = (await consumer.claim(1)).deliveries
        await broker.release(old.lease, result_ttl=0)
        await broker.publish([envelope])
        await consumer.claim(1)
    receipts = await broker.finish([Finish(old.lease, Status.COMPLETED)])
    assert receipts == [Receipt.STALE]


@pytest.mark.parametrize("key", [keys.namespaces, keys.lanes("mail")])
async def test_a_name_that_is_no_text_does_not_hide_the_queues(
    broker: RedisBroker, redis_url: str, key: str
) -> None:
    await publish(broker)
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(key, b"\xff")
    assert await broker.queues() == ["mail:send"]
    assert len(await broker.stats(await broker.queues())) == 1
    assert await broker.find("unknown") is None


async def test_a_wake_up_is_passed_on_though_something_was_due(
    broker: RedisBroker, redis_url: str
) -> None:
    await publish_many(broker, 3)
    async with broker.consumer(["mail:send"], lease=60.0) as consumer:
        assert isinstance(consumer, RedisConsumer)
        assert await consumer.wait(1.0)
        with redis.Redis.from_url(redis_url) as client:
            client.zadd(
                keys.lease_ends("mail"), {"mail:other": 1.0}
            )  # early, as heartbeats leave it
            assert len(await claim_ids(consumer, 1)) == 1
            assert client.exists(keys.wake("mail", "mail:send"))


async def test_a_wake_up_is_passed_on_by_a_repeated_claim(
    broker: RedisBroker, redis_url: str
) -> None:
    await publish_many(broker, 4)
    async with broker.consumer(["mail:send"]) as consumer:
        assert isinstance(consumer, RedisConsumer)
        group = consumer._groups[0]
        claim_id = group.claim_id
        await consumer.claim(1)
        group.claim_id = claim_id  # as if it had failed for good
        assert await consumer.wait(1.0)
        assert len(await claim_ids(consumer, 2)) == 2
        with redis.Redis.from_url(redis_url) as client:
            assert client.exists(keys.wake("mail", "mail:send"))


async def test_a_burst_goes_on_behind_a_lost_task(broker: RedisBroker, redis_url: str) -> None:
    worker = Worker("shop", broker=broker, concurrency=1)
    ran: list[int] = []

    @worker.task
    async def note(number: int) -> None:
        ran.append(number)

    handles = [await note.send(number) for number in range(3)]
    with redis.Redis.from_url(redis_url) as client:
        client.delete(keys.task("shop", handles[0].id))
    await worker.run(burst=True)
    assert ran == [1, 2]


async def test_a_record_without_a_name_can_be_cancelled(
    broker: RedisBroker, redis_url: str
) -> None:
    envelope = await publish(broker)
    with redis.Redis.from_url(redis_url) as client:
        client.hdel(keys.task("mail", envelope.id), "task")
    with suppress(TaskNotFoundError):
        await broker.cancel("mail:send", envelope.id, 1.0)
