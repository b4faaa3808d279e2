"""Claims of Redis that nobody has read, or not all of them: their tasks wait again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import redis

from devtools.proxy import Proxy
from ltq.broker import Broker, Consumer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._connect.whereabouts import Whereabouts
from ltq.brokers.redis._consumer.consumer import CLAIM_TASKS
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.opening import Opening
from ltq.errors import BrokerError
from ltq.message import Delivery, Receipt
from ltq.options import Limit, Priority
from ltq.state import Status
from tests.conformance.factories import QUEUE, make_envelope, publish_many
from tests.elapse import elapse
from tests.eventually import eventually

SIZE = 1000
"""Bytes of a body."""


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


@pytest.fixture
async def near(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[RedisBroker]:
    """The one whose replies are lost."""
    async with RedisBroker(proxy.url) as broker:
        yield broker


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls give up soon."""
    make = Opening.new_link

    def new_link(opening: Opening, whereabouts: Whereabouts | None = None) -> object:
        link = make(opening, whereabouts)
        original = link.evaluate

        async def soon(call: object, *, patience: float = 0.3) -> object:
            return await original(call, patience=min(patience, 0.3))  # type: ignore[arg-type]  # any call

        link.evaluate = soon  # type: ignore[method-assign,assignment]  # for this test
        return link

    monkeypatch.setattr(Opening, "new_link", new_link)


async def lose_a_claim(proxy: Proxy, far: RedisBroker, consumer: Consumer, limit: int) -> None:
    """Let the server carry out a claim, and lose each reply until the consumer gives up."""

    async def away() -> None:
        proxy.mode = "reset"

    await consumer.claim(0)
    proxy.drop("claim", before=away)
    with pytest.raises(BrokerError):
        await consumer.claim(limit)
    proxy.mode = "pass"
    await eventually(partial(_answers, far))


async def _answers(broker: RedisBroker) -> bool:
    """Whether the server can be reached again."""
    with suppress(BrokerError):
        await broker.time()
        return True
    return False


async def claim_all(broker: Broker) -> list[Delivery]:
    """Claim what waits."""
    found: list[Delivery] = []
    async with broker.consumer([QUEUE]) as consumer:
        while deliveries := (await consumer.claim(100)).deliveries:
            found += deliveries
    return found


def untouched(deliveries: list[Delivery]) -> bool:
    """Whether they look like tasks that were never claimed before."""
    return {(one.deaths, one.dequeue_count) for one in deliveries} <= {(0, 1)}


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
class TestLost:
    @pytest.mark.parametrize("count", [1, 20])
    async def test_a_closed_consumer_gives_back_what_it_never_got(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker, count: int
    ) -> None:
        ids = await publish_many(near, count) + await publish_many(near, 3)
        async with far.consumer([QUEUE]) as consumer:
            await lose_a_claim(proxy, far, consumer, count)
            (stats,) = await near.stats([QUEUE])
            assert stats.working == count
        found = await claim_all(near)
        assert [one.lease.id for one in found] == ids
        assert untouched(found)

    async def test_each_goes_to_the_front_of_its_own_line(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker
    ) -> None:
        envelopes = [
            make_envelope(priority=priority, lane=lane)
            for priority in (Priority.HIGH, Priority.LOW)
            for lane in ("", f"{QUEUE}/limited")
            for _ in range(2)
        ]
        lanes = [QUEUE, f"{QUEUE}/limited"]
        await near.publish(envelopes)
        async with far.consumer(lanes) as consumer:
            await lose_a_claim(proxy, far, consumer, len(envelopes))
        async with near.consumer(lanes) as consumer:
            again = [(await consumer.claim(1)).deliveries[0].lease.id for _ in envelopes]
        for part in (again[:4], again[4:]):
            assert [one.id for one in envelopes if one.id in part and not one.lane] == [
                task_id for task_id in part if task_id in {e.id for e in envelopes if not e.lane}
            ]
        assert set(again[:4]) == {one.id for one in envelopes[:4]}

    async def test_one_that_goes_on_gets_them_itself(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker
    ) -> None:
        ids = await publish_many(near, 5)
        async with far.consumer([QUEUE]) as consumer:
            await lose_a_claim(proxy, far, consumer, 5)
            found = (await consumer.claim(1)).deliveries
            assert [one.lease.id for one in found] == ids
            assert untouched(found)
        assert await near.heartbeat([one.lease for one in found], 15.0) == []

    async def test_after_an_outage_of_more_than_a_lease_it_still_gets_them(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker
    ) -> None:
        ids = await publish_many(near, 5)
        async with far.consumer([QUEUE], lease=0.2) as consumer:
            await lose_a_claim(proxy, far, consumer, 5)
            await elapse(0.5, "the leases end")
            found = (await consumer.claim(5)).deliveries
            assert [one.lease.id for one in found] == ids
            assert untouched(found)

    async def test_what_another_has_meanwhile_is_left_to_it(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker, redis_url: str
    ) -> None:
        ids = await publish_many(near, 2)
        with redis.Redis.from_url(redis_url) as admin:
            async with far.consumer([QUEUE]) as consumer:
                await lose_a_claim(proxy, far, consumer, 2)
                admin.zadd(keys.leases("mail", QUEUE), {ids[0]: 1, ids[1]: 1})  # they are over
                admin.zadd(keys.lease_ends("mail"), {QUEUE: 1})
                await near.sweep([QUEUE])
                async with near.consumer([QUEUE]) as other:
                    held = (await other.claim(1)).deliveries
            assert await near.heartbeat([one.lease for one in held], 15.0) == []
            (stats,) = await near.stats([QUEUE])
            assert (stats.pending, stats.working) == (1, 1)

    async def test_a_lane_that_limits_what_runs_has_room_again(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker
    ) -> None:
        ids = await publish_many(near, 2)
        limits = {QUEUE: Limit(running=1)}
        async with far.consumer([QUEUE], limits=limits) as consumer:
            await lose_a_claim(proxy, far, consumer, 2)
        async with near.consumer([QUEUE], limits=limits) as consumer:
            assert [one.lease.id for one in (await consumer.claim(2)).deliveries] == ids[:1]


class TestParts:
    async def test_a_consumer_that_ends_between_parts_gives_the_rest_back(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker
    ) -> None:
        ids = await publish_many(near, 30, body=b"x" * SIZE)
        async with far.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            far._here().links.any.reply_limit.bytes = 20 * SIZE
            proxy.drop("claim")
            held = (await consumer.claim(30)).deliveries
            (stats,) = await near.stats([QUEUE])
            assert stats.working > len(held) > 0
        (stats,) = await near.stats([QUEUE])
        assert stats.working == len(held)
        assert await near.heartbeat([one.lease for one in held], 15.0) == []
        found = await claim_all(near)
        assert [one.lease.id for one in [*held, *found]] == ids
        assert untouched(found)

    @pytest.mark.parametrize("nth", [2, 3])
    async def test_a_cancelled_claim_gives_back_what_had_arrived(
        self, proxy: Proxy, far: RedisBroker, near: RedisBroker, nth: int
    ) -> None:
        ids = await publish_many(near, 3 * CLAIM_TASKS)
        claiming: list[asyncio.Task[object]] = []

        async def cancel() -> None:
            claiming[0].cancel()

        async with far.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            proxy.drop("claim", nth, before=cancel)
            claiming.append(asyncio.ensure_future(consumer.claim(len(ids))))
            await asyncio.wait(claiming)
            assert claiming[0].cancelled()
        (stats,) = await near.stats([QUEUE])
        assert (stats.pending, stats.working) == (len(ids), 0)
        found = await claim_all(near)
        assert {one.lease.id for one in found} == set(ids)
        assert untouched(found)


class TestScript:
    async def test_a_repeated_call_does_nothing(self, near: RedisBroker) -> None:
        await publish_many(near, 2)
        async with near.consumer([QUEUE], name="one") as consumer:
            first, second = (await consumer.claim(2)).deliveries
            call = calls.UnclaimCall(
                prefix=keys.prefix("mail"),
                consumer="one",
                claim_id="",
                known=0,
                leases=[first.lease.id, first.lease.token],
            )
            evaluate: Callable[[calls.UnclaimCall], Awaitable[int]] = (
                near._here().links.any.evaluate
            )
            assert [await evaluate(call), await evaluate(call)] == [1, 0]
            state = await near.state(QUEUE, first.lease.id)
            assert (state.status, state.worker, state.dequeue_count) == (Status.PENDING, None, 0)
            assert await near.release(first.lease) is Receipt.STALE
            assert await near.release(second.lease) is Receipt.OK
