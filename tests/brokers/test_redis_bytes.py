"""Large bodies, results and dead letters over slow links; replies that come late, or in parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
import uvloop

from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq._aio.deadlines import Deadlines
from ltq.broker import Broker
from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Envelope, Failure, Finish, Published, Receipt
from ltq.names import new_id
from ltq.state import Status
from tests.conformance.factories import claim_one, publish
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow

QUEUE = "mail:send"
PATIENCE = 0.4
SIZE, RATE = 100_000, 400_000
"""Each reply of several such bodies takes longer than the patience."""


def envelope(size: int = SIZE) -> Envelope:
    return Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"b" * size)


@pytest.fixture
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that wait for less than their bytes take."""
    monkeypatch.setattr(Link.evaluate, "__kwdefaults__", {"patience": PATIENCE})


@asynccontextmanager
async def far(server: RedisServer, *, up: float = 0.0, down: float = 0.0) -> AsyncIterator[Broker]:
    """A broker at the end of a slow link."""
    async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
        await broker.queues()
        proxy.up, proxy.down = up, down
        yield broker


@pytest.mark.usefixtures("impatient")
class TestSlowLink:
    async def test_a_claim_arrives(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as near, far(server, down=RATE) as broker:
            await near.publish([envelope() for _ in range(4)])
            async with broker.consumer([QUEUE]) as consumer:
                deliveries = (await consumer.claim(10)).deliveries
        assert [len(delivery.body) for delivery in deliveries] == [SIZE] * 4

    async def test_many_results_arrive(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as near, far(server, down=RATE) as broker:
            ids = []
            async with near.consumer([QUEUE]) as consumer:
                for _ in range(4):
                    ids.append((await publish(near)).id)
                    lease = (await claim_one(near, consumer)).lease
                    await near.finish([Finish(lease, Status.COMPLETED, b"r" * SIZE)])
            states = await broker.states(QUEUE, ids)
        assert [len(state.result or b"") for state in states if state] == [SIZE] * 4

    async def test_dead_letters_arrive(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as near, far(server, down=RATE) as broker:
            async with near.consumer([QUEUE]) as consumer:
                for _ in range(4):
                    await near.publish([envelope()])
                    lease = (await claim_one(near, consumer)).lease
                    failure = Failure("E", "E: no")
                    await near.finish([Finish(lease, Status.FAILED, failure=failure, dead=True)])
            letters = await broker.dead_letters(QUEUE)
        assert [len(letter.body or b"") for letter in letters] == [SIZE] * 4

    async def test_a_send_arrives(self, server: RedisServer) -> None:
        async with far(server, up=RATE) as broker:
            answers = await broker.publish([envelope() for _ in range(4)])
        assert answers == [Published.CREATED] * 4

    async def test_an_outcome_arrives(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as near, far(server, up=RATE) as broker:
            await publish(near)
            async with near.consumer([QUEUE]) as consumer:
                lease = (await claim_one(near, consumer)).lease
                outcome = Finish(lease, Status.COMPLETED, b"r" * 4 * SIZE)
                assert await broker.finish([outcome]) == [Receipt.OK]


def _publish(broker: Broker) -> Awaitable[object]:
    return broker.publish([envelope()])


def _read(broker: Broker) -> Awaitable[object]:
    return broker.states(QUEUE, ["a"])


@pytest.mark.usefixtures("impatient")
class TestSilence:
    @pytest.mark.parametrize("call", [_publish, _read])
    async def test_a_server_that_is_silent_is_told_soon(
        self, server: RedisServer, call: Callable[[Broker], Awaitable[object]]
    ) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            await broker.publish([envelope()])
            proxy.mode = "hole"
            began = time.monotonic()
            with pytest.raises(BrokerError, match="did not reply"):
                await call(broker)
            assert time.monotonic() - began < 2 * PATIENCE + SIZE / 125_000 + 1
            proxy.mode = "pass"

    async def test_one_that_falls_silent_amid_a_reply_is_told_soon(
        self, server: RedisServer
    ) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            await broker.publish([envelope()])
            async with broker.consumer([QUEUE]) as consumer:
                proxy.down, proxy.replied = RATE, 0
                claiming = asyncio.create_task(consumer.claim(1))
                await eventually(lambda: proxy.replied > RATE / 20)  # some of the body
                proxy.freeze_all()
                began = time.monotonic()
                with pytest.raises(BrokerError, match="did not reply"):
                    await claiming
                assert time.monotonic() - began < 2 * PATIENCE + 1
                proxy.down = 0.0
                (delivery,) = (await consumer.claim(1)).deliveries
                assert len(delivery.body) == SIZE

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
    def test_a_reply_that_is_there_when_a_blocked_loop_goes_on_is_taken(
        self, server: RedisServer, run: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        async def main() -> None:
            async with RedisBroker(server.url) as broker:
                await broker.publish([envelope(10)])
                for _ in range(2):
                    publishing = asyncio.create_task(broker.publish([envelope(10)]))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    for _ in range(2):
                        time.sleep(PATIENCE + 0.1)  # noqa: ASYNC251  # the task's own time: it blocks
                        await asyncio.sleep(0)
                    assert await publishing == [Published.CREATED]

        run(main())


class TestParts:
    async def test_a_claim_ends_with_the_body_that_fills_it(self, server: RedisServer) -> None:
        async with RedisBroker(server.url) as broker, broker.consumer([QUEUE]) as consumer:
            sent = [envelope(CALL_BYTES // 2) for _ in range(5)]
            await broker.publish(sent)
            calls, ids = [], []
            while deliveries := (await consumer.claim(10)).deliveries:
                calls.append(len(deliveries))
                ids += [delivery.lease.id for delivery in deliveries]
            assert ids == [one.id for one in sent]
            assert max(calls) <= 4  # two scripts of two each
            (stats,) = await broker.stats([QUEUE])
            assert (stats.working, stats.pending) == (5, 0)

    async def test_a_claim_whose_reply_was_lost_is_given_again_in_parts(
        self, server: RedisServer
    ) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            sent = [envelope(SIZE) for _ in range(6)]
            await broker.publish(sent)
            async with broker.consumer([QUEUE]) as consumer:
                broker._here().links.any.reply_limit.bytes = 6 * SIZE
                proxy.drop("claim")
                first = (await consumer.claim(6)).deliveries
                rest = list(first)
                while len(rest) < 6:
                    more = (await consumer.claim(6)).deliveries
                    assert more
                    rest += more
            assert [one.lease.id for one in rest] == [one.id for one in sent]
            assert {one.dequeue_count for one in rest} == {1}

    async def test_the_record_of_a_claim_lasts_until_all_parts_were_given(
        self, server: RedisServer
    ) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            await broker.publish([envelope(SIZE) for _ in range(6)])
            async with broker.consumer([QUEUE], name="slow") as consumer:
                broker._here().links.any.reply_limit.bytes = SIZE
                proxy.drop("claim")
                await consumer.claim(6)
                with redis.Redis.from_url(server.url) as admin:
                    record = keys.prefix("mail") + "claim:slow"
                    admin.pexpire(record, 5000)  # most of its time is over
                    await consumer.claim(6)
                    assert admin.pttl(record) > 10_000

    async def test_after_a_timeout_less_is_asked_for(
        self, server: RedisServer, impatient: None
    ) -> None:
        async with Proxy(server.port) as proxy, RedisBroker(proxy.url) as broker:
            limit = broker._here().links.any.reply_limit
            await broker.states(QUEUE, ["a"])
            proxy.mode = "hole"
            with pytest.raises(BrokerError):
                await broker.states(QUEUE, ["a"])
            assert limit.bytes == CALL_BYTES // 4
            proxy.mode = "pass"
            for _ in range(2):
                await broker.states(QUEUE, ["a"])
            assert limit.bytes == CALL_BYTES

    async def test_a_lease_lasts_as_long_as_a_large_body_may_need(
        self, server: RedisServer
    ) -> None:
        async with (
            RedisBroker(server.url) as broker,
            broker.consumer([QUEUE], lease=0.2) as consumer,
        ):
            await broker.publish([envelope(1_000_000)])
            assert len((await consumer.claim(1)).deliveries) == 1
            await elapse(0.3, "the lease alone would be over")
            assert (await broker.sweep([QUEUE])).recovered == 0


class _Alive:
    """Moves a byte now and then."""

    def __init__(self) -> None:
        self.moved_at = 0.0

    def lasts_until(self, now: float, patience: float) -> float:
        return self.moved_at + patience


class TestDeadlineOfSilence:
    async def test_each_sign_of_life_begins_it_anew(self) -> None:
        loop, deadlines, alive = asyncio.get_running_loop(), Deadlines(), _Alive()
        began = loop.time()

        async def live() -> None:
            with deadlines.within(0.05) as deadline:
                deadline.activity = alive
                while loop.time() < began + 0.2:
                    alive.moved_at = loop.time()
                    await asyncio.sleep(0.01)  # the task's own time
                await asyncio.sleep(30)  # the task's own time

        with pytest.raises(TimeoutError):
            await live()
        assert 0.24 <= loop.time() - began < 5

    async def test_one_that_waits_for_its_turn_lasts_as_long_as_others_are_alive(self) -> None:
        loop, deadlines, alive = asyncio.get_running_loop(), Deadlines(), _Alive()
        began = loop.time()

        async def busy() -> None:
            with deadlines.within(0.05) as deadline:
                deadline.activity = alive
                while loop.time() < began + 0.2:
                    alive.moved_at = loop.time()
                    await asyncio.sleep(0.01)  # the task's own time

        other = asyncio.create_task(busy())
        with deadlines.within(0.05):
            await asyncio.sleep(0.15)  # the task's own time
        await other


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_ends_passes_no_wake_up_on_for_long(server: RedisServer) -> None:
    async with (
        RedisBroker(server.url) as near,
        Proxy(server.port) as proxy,
        RedisBroker(proxy.url) as broker,
        broker.consumer([QUEUE]) as consumer,
    ):
        await consumer.claim(1)
        waiting = asyncio.create_task(consumer.wait(10.0))
        await near.publish([envelope()])
        await waiting  # it has taken the wake-up, and claims nothing
        proxy.mode = "hole"
        with pytest.raises(BrokerError, match="did not reply"):
            await broker.states(QUEUE, ["a"])
        began = time.monotonic()
        await consumer.aclose()
        assert time.monotonic() - began < 0.8
        proxy.mode = "pass"
