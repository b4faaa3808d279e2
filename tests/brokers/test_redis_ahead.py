"""Claims of Redis that go out behind the blocking pop of a consumer that waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from devtools.proxy import Proxy
from ltq.broker import Consumer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import Again
from ltq.brokers.redis._server.keys import line_list
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Receipt, own_lane
from ltq.names import namespace_of
from ltq.options import Priority
from ltq.testing.conformance._support.eventually import PATIENCE, SOON
from tests.conformance.factories import QUEUE, claim_ids, claim_one, publish, publish_many, started
from tests.eventually import eventually

NAMESPACE = namespace_of(QUEUE)

CLAIM = keys.prefix(NAMESPACE) + "claim:"

WAKE = keys.wake(NAMESPACE, QUEUE)


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
    async with RedisBroker(proxy.url) as broker:
        yield broker


@pytest.fixture
async def consumer(far: RedisBroker) -> AsyncIterator[Consumer]:
    """One that has found nothing."""
    async with far.consumer([QUEUE], name="one") as consumer:
        assert (await consumer.claim(3)).deliveries == []
        yield consumer


def group_of(consumer: Consumer) -> LaneGroup:
    assert isinstance(consumer, RedisConsumer)
    (group,) = consumer._groups
    return group


async def waiting(
    near: RedisBroker, consumer: Consumer, room: int = 3, running: int = 0
) -> "asyncio.Task[bool]":
    """A wait whose claim is behind the pop at the server."""
    task = await started(near, consumer.wait(PATIENCE, room, running))
    await eventually(lambda: is_blocked(near))
    return task


async def is_blocked(near: RedisBroker) -> bool:
    clients = await near._here().links.any.call("INFO", "clients")
    return b"blocked_clients:1" in clients


class TestTrips:
    async def test_a_woken_consumer_needs_no_further_call(
        self, proxy: Proxy, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        before = proxy.commands["claim"], proxy.commands["BZPOPMIN"]
        envelope = await publish(near)
        assert await task
        assert await claim_ids(consumer, 3) == [envelope.id]
        assert (proxy.commands["claim"], proxy.commands["BZPOPMIN"]) == before

    async def test_it_takes_one_task_and_says_that_there_is_more(
        self, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        ids = await publish_many(near, 5)
        assert await task
        claim = await consumer.claim(3)
        assert [delivery.lease.id for delivery in claim.deliveries] == ids[:1]
        assert claim.due_in == 0
        assert await claim_ids(consumer, 3) == ids[1:4]

    @pytest.mark.parametrize("lists", [1, 30])
    async def test_it_tells_of_what_is_left_in_a_lane_for_which_nobody_was_woken(
        self, near: RedisBroker, far: RedisBroker, lists: int
    ) -> None:
        """It serves too where only tasks wait that it knows, but its pop does not name that."""
        queues = [QUEUE, *(f"{NAMESPACE}:{number}" for number in range(lists - 1))]
        knows = frozenset(queues)
        async with far.consumer(queues[:10], name="one", knows=knows) as consumer:
            assert (await consumer.claim(3)).deliveries == []
            task = await waiting(near, consumer)
            for other in queues[10:]:
                await publish(near, queue=other)
            ids = await publish_many(near, 2, lane=own_lane(QUEUE, QUEUE))
            first = await publish(near, priority=Priority.HIGH)
            assert await task
            claim = await consumer.claim(3)
            assert [delivery.lease.id for delivery in claim.deliveries] == [first.id]
            assert claim.due_in == 0
            assert await claim_ids(consumer, 3) == ids

    @pytest.mark.parametrize(("room", "running"), [(0, 0), (3, 1)])
    async def test_without_room_or_beside_others_it_only_wakes(
        self, proxy: Proxy, near: RedisBroker, consumer: Consumer, room: int, running: int
    ) -> None:
        """What runs may block the event loop, and nobody would see what comes."""
        before = proxy.commands["claim"]
        task = await waiting(near, consumer, room, running)
        envelope = await publish(near)
        assert await task
        assert (await near.state(QUEUE, envelope.id)).worker is None
        assert proxy.commands["claim"] == before
        assert await claim_ids(consumer, 3) == [envelope.id]

    async def test_a_consumer_of_many_lanes_claims_afterwards(self, near: RedisBroker) -> None:
        lanes = [f"mail:{number}" for number in range(40)]
        async with near.consumer(lanes) as consumer:
            assert (await consumer.claim(3)).deliveries == []
            task = await waiting(near, consumer)
            envelope = await publish(near, queue=lanes[7])
            assert await task
            assert (await near.state(lanes[7], envelope.id)).worker is None
            assert await claim_ids(consumer, 3) == [envelope.id]


class TestLost:
    async def test_a_lost_reply_is_asked_for_again(
        self, proxy: Proxy, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        proxy.drop("claim")
        envelope = await publish(near)
        await task
        delivery = await claim_one(near, consumer)
        assert (delivery.lease.id, delivery.dequeue_count) == (envelope.id, 1)
        assert await near.release(delivery.lease) is Receipt.OK

    async def test_a_lost_connection_loses_nothing(
        self, proxy: Proxy, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        proxy.reset_all()
        envelope = await publish(near)
        await task
        delivery = await claim_one(near, consumer)
        assert (delivery.lease.id, delivery.dequeue_count) == (envelope.id, 1)

    async def test_a_server_that_forgot_the_script(
        self, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        await near._here().links.any.call("SCRIPT", "FLUSH")
        envelope = await publish(near)
        await task
        assert (await claim_one(near, consumer)).lease.id == envelope.id

    async def test_what_came_is_not_kept_by_one_that_ends(
        self, near: RedisBroker, consumer: Consumer
    ) -> None:
        task = await waiting(near, consumer)
        envelope = await publish(near)
        assert await task
        await consumer.aclose()
        async with near.consumer([QUEUE]) as other:
            delivery = await claim_one(near, other)
        assert (delivery.lease.id, delivery.dequeue_count) == (envelope.id, 1)

    async def test_what_came_is_given_once(self, near: RedisBroker, consumer: Consumer) -> None:
        task = await waiting(near, consumer)
        envelope = await publish(near)
        assert await task
        assert await asyncio.wait_for(consumer.wait(None, 3), SOON)
        assert await claim_ids(consumer, 3) == [envelope.id]
        assert await claim_ids(consumer, 3) == []

    async def test_a_slow_reply_has_an_age(self, near: RedisBroker, consumer: Consumer) -> None:
        """The process may have been paused."""
        task = await waiting(near, consumer)
        await publish(near)
        assert await task
        group = group_of(consumer)
        assert group.offset is not None
        group.offset -= 100.0
        claim = await consumer.claim(3)
        assert 100 <= claim.age <= 100 + PATIENCE
        assert (await consumer.claim(3)).age == 0


CALL: dict[str, Any] = {
    "prefix": keys.prefix(NAMESPACE),
    "consumer": "one",
    "lease": 15.0,
    "limit": 5,
    "running": 0,
    "lanes": line_list([QUEUE]),
    "woken": line_list([QUEUE]),
    "limits": [],
}


class TestLate:
    """A claim that is carried out after its consumer has given it up."""

    @pytest.fixture
    def claim(self, near: RedisBroker) -> Callable[..., Any]:
        async def claim(number: int, again: Again = "", run: str = "run") -> list[str]:
            call = calls.ClaimCall(**CALL, claim_id=f"{run}-{number}", again=again)
            reply = await near._here().links.any.evaluate(call)
            return [delivery.lease.id for delivery in reply.deliveries]

        return claim

    async def withdraw(self, near: RedisBroker, number: int) -> int:
        call = calls.UnclaimCall(
            prefix=CALL["prefix"], consumer="one", claim_id=f"run-{number}", known=0, leases=[]
        )
        return await near._here().links.any.evaluate(call)

    async def test_one_that_was_withdrawn_gives_nothing(
        self, near: RedisBroker, claim: Callable[..., Any], redis_url: str
    ) -> None:
        (task_id,) = await publish_many(near, 1)
        assert await self.withdraw(near, 1) == 0
        with redis.Redis.from_url(redis_url) as admin:
            admin.zpopmin(WAKE)
            assert await claim(1, "late") == []
            assert admin.zcard(WAKE) == 1  # what it took is left to others
            assert 0 < admin.pttl(CLAIM + "one") <= 75_000
        assert await claim(2) == [task_id]

    async def test_one_that_was_carried_out_is_given_back(
        self, near: RedisBroker, claim: Callable[..., Any]
    ) -> None:
        ids = await publish_many(near, 3)
        assert await claim(1, "late") == ids
        assert await self.withdraw(near, 1) == 3
        assert await claim(1, "late") == []
        assert await claim(2) == ids

    async def test_a_repeated_one_that_gave_nothing_is_over(
        self, near: RedisBroker, claim: Callable[..., Any]
    ) -> None:
        assert await claim(1, "1") == []
        ids = await publish_many(near, 3)
        assert await claim(1, "late") == []
        assert await claim(2, "late") == ids

    async def test_one_before_another_gives_nothing(
        self, near: RedisBroker, claim: Callable[..., Any]
    ) -> None:
        first = await publish_many(near, 2)
        assert await claim(10) == first
        second = await publish_many(near, 2)
        assert await claim(9, "late") == []
        assert await self.withdraw(near, 9) == 0
        assert await claim(10, "1") == first  # it still holds these
        assert await claim(11, "late") == second

    async def test_one_whose_tasks_a_repeated_one_gave_leaves_what_woke_it(
        self, near: RedisBroker, claim: Callable[..., Any], redis_url: str
    ) -> None:
        first = await publish_many(near, 1)
        assert await claim(1, "1") == first
        with redis.Redis.from_url(redis_url) as admin:
            admin.delete(WAKE)
            second = await publish_many(near, 1)
            admin.zpopmin(WAKE)
            await claim(1, "late")
            assert admin.zcard(WAKE) == 1
        assert await claim(2) == second

    async def test_one_of_another_run_is_no_later_one(
        self, near: RedisBroker, claim: Callable[..., Any]
    ) -> None:
        first = await publish_many(near, 1)
        assert await claim(10) == first
        second = await publish_many(near, 1)
        assert await claim(1, "late", run="other") == second
