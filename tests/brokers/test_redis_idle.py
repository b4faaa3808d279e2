"""Connections that died while they were idle: whoever calls next does not notice."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest.mock import AsyncMock

import pytest
import redis

import ltq
from devtools.proxy import Proxy
from ltq.broker import ScheduleSlot
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.link import CALL_PATIENCE
from ltq.brokers.redis._server.notifications import NEEDED
from ltq.errors import BrokerError
from ltq.message import Finish
from ltq.names import new_id
from ltq.state import Progress, Status
from tests.conformance.factories import QUEUE, claim_one, make_envelope, publish
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow

SOON = CALL_PATIENCE - 0.5
"""Seconds in which a call is answered over another connection."""


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(proxy.url) as broker:
        yield broker


async def _settle(broker: RedisBroker, how: str) -> object:
    async with broker.consumer([QUEUE]) as consumer:
        lease = (await claim_one(broker, consumer)).lease
    _forget(broker)
    if how == "finish":
        return await broker.finish([Finish(lease, Status.COMPLETED)])
    if how == "heartbeat":
        return await broker.heartbeat([lease], 15.0)
    return await broker.progress(lease, Progress(1, 2, ""))


_FREEZE: list[Callable[[], None]] = []


def _forget(_: RedisBroker) -> None:
    """The way to the server forgets the connections there are."""
    _FREEZE[0]()


async def _claim(broker: RedisBroker) -> object:
    async with broker.consumer([QUEUE]) as consumer:
        await consumer.claim(0)
        _forget(broker)
        return await consumer.claim(1)


async def _watch(broker: RedisBroker) -> object:
    envelope = await publish(broker, queue="mail:watched")
    states = broker.watch(QUEUE, envelope.id, timeout=20)
    async with broker.consumer(["mail:watched"]) as consumer:
        lease = (await claim_one(broker, consumer)).lease
    async for state in states:
        if state.status is Status.WORKING:  # what it has read: now its connection is idle
            break
    _forget(broker)
    await broker.release(lease)
    return [state async for state in states]


SLOT = ScheduleSlot(
    schedule="s", queue=QUEUE, spec="x", after=1, slot=2, due=3, envelope=make_envelope()
)

CALLS: dict[str, Callable[[RedisBroker], Awaitable[object]]] = {
    "ping": lambda broker: broker.ping(),
    "hazards": lambda broker: broker.hazards(),
    "publish": lambda broker: broker.publish([make_envelope()]),
    "publish many": lambda broker: broker.publish([make_envelope() for _ in range(1000)]),
    "first": lambda broker: broker.first(QUEUE, "none"),
    "claim": _claim,
    "finish": lambda broker: _settle(broker, "finish"),
    "heartbeat": lambda broker: _settle(broker, "heartbeat"),
    "progress": lambda broker: _settle(broker, "progress"),
    "sweep": lambda broker: broker.sweep([QUEUE]),
    "repair": lambda broker: broker.repair([QUEUE]),
    "states": lambda broker: broker.states(QUEUE, ["a", "b"]),
    "watch": _watch,
    "queues": lambda broker: broker.queues(),
    "stats": lambda broker: broker.stats([QUEUE]),
    "clear": lambda broker: broker.clear(QUEUE),
    "find": lambda broker: broker.find("a"),
    "body": lambda broker: broker.body(QUEUE, "a"),
    "tasks": lambda broker: broker.tasks(QUEUE),
    "workers": lambda broker: broker.workers(),
    "examine": lambda broker: broker.examine(),
    "dead letters": lambda broker: broker.dead_letters(QUEUE),
    "replay": lambda broker: broker.replay(QUEUE, ["a"]),
    "purge": lambda broker: broker.purge(QUEUE),
    "time": lambda broker: broker.time(),
    "fire": lambda broker: broker.fire(SLOT),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_next_call_is_answered(proxy: Proxy, broker: RedisBroker, name: str) -> None:
    _FREEZE[:] = [proxy.freeze_all]
    await publish(broker)
    await asyncio.gather(*(broker.time() for _ in range(5)))  # several connections
    proxy.freeze_all()
    began = time.monotonic()
    await CALLS[name](broker)
    assert time.monotonic() - began < 3 * SOON  # some are frozen twice
    began = time.monotonic()
    await broker.time()
    assert time.monotonic() - began < 1.0, "the others were replaced with it"


async def test_many_calls_at_once_are_answered(proxy: Proxy, broker: RedisBroker) -> None:
    await asyncio.gather(*(broker.time() for _ in range(10)))
    proxy.freeze_all()
    began = time.monotonic()
    await asyncio.gather(*(broker.publish([make_envelope()]) for _ in range(50)))
    await asyncio.gather(*(broker.time() for _ in range(30)))
    assert time.monotonic() - began < 2 * SOON


def test_a_synchronous_send_is_answered(redis_url: str) -> None:
    worker = ltq.Worker("idle", broker_url=redis_url)

    @worker.task
    async def job(number: int) -> int:
        return number

    async def main() -> float:
        async with Proxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
            worker.broker = RedisBroker(proxy.url)
            await asyncio.to_thread(job.send_sync, 1)
            proxy.freeze_all()
            began = time.monotonic()
            await asyncio.to_thread(job.send_sync, 2)
            took = time.monotonic() - began
            await asyncio.to_thread(ltq.close_sync)
            return took

    assert asyncio.run(main()) < SOON


@pytest.mark.parametrize("fault", ["freeze", "kill"])
async def test_a_wait_for_work_only_ends_early(
    proxy: Proxy,
    broker: RedisBroker,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr("ltq.brokers.redis._consumer.wake_ups.BLOCK", 0.5)
    with redis.Redis.from_url(redis_url) as admin:
        async with broker.consumer([QUEUE]) as consumer:
            claiming = asyncio.ensure_future(broker.claim(consumer, 1, timeout=10))
            await eventually(lambda: int(admin.info("clients")["blocked_clients"]) == 1)
            if fault == "freeze":
                proxy.freeze_all()
            else:
                admin.client_kill_filter(_type="normal", skipme=True)
            envelope = await publish(broker)
            assert [one.lease.id for one in await claiming] == [envelope.id]


async def test_a_wait_that_is_refused_is_an_error(broker: RedisBroker, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-bzpopmin")
        try:
            async with broker.consumer([QUEUE]) as consumer:
                with pytest.raises(BrokerError, match="refused"):
                    await consumer.wait(5.0)
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+@all")


async def test_a_server_that_is_only_slow_keeps_its_connections(
    proxy: Proxy, broker: RedisBroker, redis_url: str
) -> None:
    await broker.time()
    opened = len(proxy.accepted)
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        await broker.time()
    assert len(proxy.accepted) <= opened + 1, "one connection has tried the server"


@pytest.mark.parametrize("wanted", ["auto", "require"])
@pytest.mark.parametrize("when", ["before", "while asking"])
async def test_a_dead_subscription_is_no_server_without_notifications(
    proxy: Proxy,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    when: str,
) -> None:
    """A change of which no notification tells: the connection is replaced, nobody is alarmed."""
    with redis.Redis.from_url(redis_url) as admin:
        admin.config_set("notify-keyspace-events", NEEDED)
    caplog.set_level(logging.WARNING, "ltq")
    asked = AsyncMock(side_effect=lambda *_: proxy.freeze_all())
    if when == "while asking":
        monkeypatch.setattr("ltq.brokers.redis._watch_hub.write_probe", asked)
    async with RedisBroker(f"{proxy.url}?notifications={wanted}") as broker:
        envelope = await publish(broker)
        states = broker.watch(QUEUE, envelope.id, timeout=20)
        assert (await anext(states)).status is Status.PENDING
        hub = broker._here().hubs.of(
            "mail"
        )  # private: a doubt is wanted now, as no fault comes just then
        await eventually(lambda: hub._follower._is_notified)
        if when == "before":
            proxy.freeze_all()
        hub._doubt.set()
        if when == "while asking":
            await eventually(lambda: asked.await_count == 3, timeout=10)
        async with broker.consumer([QUEUE]) as consumer:
            lease = (await claim_one(broker, consumer)).lease
            await broker.finish([Finish(lease, Status.COMPLETED)])
        assert [state.status async for state in states][-1] is Status.COMPLETED
        await eventually(lambda: hub._follower._is_notified, timeout=10)
    assert [one.getMessage() for one in caplog.records] == []


async def test_a_worker_goes_on_without_a_word(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ltq")
    worker = ltq.Worker("idle", broker_url=proxy.url, lease=3.0)

    @worker.task
    async def job(number: int) -> int:
        await elapse(number, "leases have to be renewed")
        return number

    async with worker:
        assert await (await job.send(0)).result(5) == 0
        long = await job.send(6)
        proxy.freeze_all()
        assert await (await job.send(0)).result(15) == 0
        proxy.freeze_all()
        assert await long.result(20) == 6
        state = await long.state()
    assert state.dequeue_count == 1
    assert [one.getMessage() for one in caplog.records] == []


async def test_a_server_that_cannot_be_reached_is_told_of_as_before(
    proxy: Proxy, broker: RedisBroker
) -> None:
    await broker.time()
    proxy.mode = "hole"
    began = time.monotonic()
    with pytest.raises(BrokerError, match="did not reply within 4 s"):
        await broker.publish([make_envelope(id=new_id())])
    assert time.monotonic() - began < CALL_PATIENCE + 1
    proxy.mode = "pass"
