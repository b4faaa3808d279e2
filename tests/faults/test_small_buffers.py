"""A server whose `client-output-buffer-limit` closes connections instead of large replies."""

import logging
from collections.abc import AsyncIterator

import pytest
import redis

import ltq
from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Delivery, Failure, Finish
from ltq.state import Status
from tests.conformance.factories import QUEUE, make_envelope
from tests.eventually import eventually

KIB = 1024
MANY = 60


def limit(admin: "redis.Redis", size: int) -> None:
    """Let the server's buffers for replies be so small."""
    admin.config_set("client-output-buffer-limit", f"normal {size} 0 0")


@pytest.mark.parametrize(
    ("buffer", "body", "ctx"),
    [
        (1024 * KIB, 30 * KIB, 0),
        (256 * KIB, 100 * KIB, 0),
        (256 * KIB, 10, 60 * KIB),
        (64 * KIB, 40 * KIB, 0),
    ],
)
async def test_workers_claim_less_and_no_death_is_counted(
    server: RedisServer,
    admin: "redis.Redis",
    caplog: pytest.LogCaptureFixture,
    buffer: int,
    body: int,
    ctx: int,
) -> None:
    caplog.set_level(logging.INFO, "ltq")
    worker = ltq.Worker("large", broker_url=server.url, lease=3.0)

    @worker.task
    async def measure(text: str) -> int:
        return len(text)

    messages = [measure.message("x" * body) for _ in range(MANY)]
    for message in messages:
        message.ctx.update({"note": "y" * ctx} if ctx else {})
    handles = await measure.send_many(messages)
    limit(admin, buffer)
    async with worker:
        assert set(await ltq.gather(*handles, timeout=20)) == {body}
        states = [await handle.state() for handle in handles]
    assert {(state.dequeue_count, state.requeue_count) for state in states} == {(1, 0)}
    assert not [one for one in caplog.messages if "dead workers" in one]


async def test_later_claims_begin_with_less(server: RedisServer, admin: "redis.Redis") -> None:
    async with RedisBroker(server.url) as broker, broker.consumer([QUEUE]) as consumer:
        await broker.publish([make_envelope(body=b"x" * 50 * KIB) for _ in range(MANY)])
        await consumer.claim(0)
        limit(admin, 256 * KIB)
        connections = int(admin.info("stats")["total_connections_received"])
        count = 0
        while count < MANY:
            count += len((await consumer.claim(MANY)).deliveries)
        opened = int(admin.info("stats")["total_connections_received"]) - connections
        assert opened <= 8, "not each claim lost its first reply"


@pytest.fixture
async def full(server: RedisServer, admin: "redis.Redis") -> AsyncIterator[RedisBroker]:
    """A broker with large states, letters and bodies, and many queues."""
    async with RedisBroker(server.url) as broker:
        queues = [f"mail:{number}" for number in range(3000)]
        await broker.publish([make_envelope(queue=queue) for queue in queues])
        await broker.publish(
            [make_envelope(id=f"task-{number}", body=b"b" * 50 * KIB) for number in range(40)]
        )
        async with broker.consumer([QUEUE]) as consumer:
            found: list[Delivery] = []
            while len(found) < 30:
                found += (await consumer.claim(30 - len(found))).deliveries
        failure = Failure("ValueError", "e" * 15 * KIB, "t" * 15 * KIB)
        for number, delivery in enumerate(found):
            await broker.finish(
                [
                    Finish(delivery.lease, Status.COMPLETED, result=b"r" * 50 * KIB)
                    if number < 15
                    else Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)
                ]
            )
        limit(admin, 128 * KIB)
        yield broker


async def test_all_that_reads_reads_less(full: RedisBroker) -> None:
    ids = [f"task-{number}" for number in range(40)]
    states = await full.states(QUEUE, ids)
    assert [state and state.status for state in states] == [
        *[Status.COMPLETED] * 15,
        *[Status.FAILED] * 15,
        *[Status.PENDING] * 10,
    ]
    assert [letter.id for letter in await full.dead_letters(QUEUE)] == ids[29:14:-1]
    assert len(await full.body(QUEUE, ids[35]) or b"") == 50 * KIB
    names = [*await full.queues()]
    assert len(names) == 3001
    stats = await full.stats(names)
    assert sum(one.pending for one in stats) == 3010
    await full.workers()
    assert await full.repair([QUEUE]) == 0
    assert len(await full.replay(QUEUE, ids[15:30])) == 15
    assert {(await full.wait(QUEUE, one, timeout=5)).status for one in ids[:15]} == {
        Status.COMPLETED
    }


async def test_a_task_that_never_fits_is_told_of(server: RedisServer, admin: "redis.Redis") -> None:
    async with RedisBroker(server.url) as broker, broker.consumer([QUEUE]) as consumer:
        await broker.publish([make_envelope(body=b"x" * 500 * KIB)])
        limit(admin, 64 * KIB)
        with pytest.raises(BrokerError, match="client-output-buffer-limit"):
            await consumer.claim(1)
        limit(admin, 0)
        (delivery,) = (await consumer.claim(1)).deliveries
        assert (delivery.deaths, delivery.dequeue_count) == (0, 1)


async def test_an_emptied_server_gets_to_know_the_queues_of_an_idle_worker(
    server: RedisServer, admin: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltq.brokers.redis._consumer.consumer._KNOWN_FOR", 0.1)
    monkeypatch.setattr("ltq.brokers.redis._consumer.wake_ups.BLOCK", 0.3)
    async with RedisBroker(server.url) as broker, broker.consumer([QUEUE]) as consumer:
        await consumer.claim(1)
        admin.flushall()

        async def is_known() -> bool:
            await consumer.wait(0.1)
            await consumer.claim(1)
            return await broker.queues() == [QUEUE]

        await eventually(is_known)
