"""Calls of Redis that are on their way at once: two claims of a consumer, the parts of a finish."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import pytest

from devtools.proxy import Proxy
from ltq.broker import Consumer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import Script
from ltq.brokers.redis._server.link import Link
from ltq.message import Finish, Lease, Outcome, Receipt, Requeue
from ltq.state import Status
from tests.conformance.factories import QUEUE, claim_ids, publish_many
from tests.eventually import eventually


class Gate:
    """Calls of one script: they are made only while it is open, and answered only while it is."""

    def __init__(self, kind: type[Script[Any]]) -> None:
        self.kind = kind
        self.open = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.all: list[Any] = []
        self.under_way = 0

    def guard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        evaluate = Link.evaluate

        async def guarded(link: Link, call: Any, **more: Any) -> Any:
            if not isinstance(call, self.kind):
                return await evaluate(link, call, **more)
            self.all.append(call)
            self.under_way += 1
            try:
                await self.open.wait()
                answer = await evaluate(link, call, **more)
                await self.answers.wait()
            finally:
                self.under_way -= 1
            return answer

        monkeypatch.setattr(Link, "evaluate", guarded)


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    async with RedisBroker(redis_url) as broker:
        yield broker


@pytest.fixture
async def consumer(broker: RedisBroker) -> AsyncIterator[Consumer]:
    """One that has found nothing."""
    async with broker.consumer([QUEUE], name="one") as consumer:
        assert (await consumer.claim(3)).deliveries == []
        yield consumer


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch, consumer: Consumer) -> Gate:
    gate = Gate(calls.ClaimCall)
    gate.guard(monkeypatch)
    return gate


class TestClaims:
    async def test_two_are_on_their_way_and_others_wait_for_them(
        self, broker: RedisBroker, consumer: Consumer, claims: Gate
    ) -> None:
        ids = await publish_many(broker, 7)
        waiting = [asyncio.ensure_future(claim_ids(consumer, 2)) for _ in range(4)]
        await eventually(lambda: claims.under_way == 2)
        await broker.ping()
        assert len(claims.all) == 2
        claims.open.set()
        found = await asyncio.gather(*waiting)
        assert sorted(task_id for some in found for task_id in some) == sorted(ids)
        assert len({call.claim_id for call in claims.all}) == 4

    async def test_the_tasks_of_both_come_again_if_their_replies_are_lost(
        self, redis_url: str
    ) -> None:
        port = int(redis_url.rpartition(":")[2].partition("/")[0])
        async with (
            Proxy(port) as proxy,
            RedisBroker(proxy.url) as broker,
            broker.consumer([QUEUE], name="one") as consumer,
        ):
            assert (await consumer.claim(3)).deliveries == []
            for nth in (1, 2):
                ids = await publish_many(broker, 6)
                proxy.drop("claim", nth)
                both = await asyncio.gather(consumer.claim(3), consumer.claim(3))
                deliveries = [one for claim in both for one in claim.deliveries]
                assert sorted(one.lease.id for one in deliveries) == sorted(ids)
                assert {one.dequeue_count for one in deliveries} == {1}
            assert proxy.dropped == 2

    async def test_what_a_cancelled_one_has_leased_is_in_the_next_one(
        self, broker: RedisBroker, consumer: Consumer, claims: Gate
    ) -> None:
        """Whichever of both that was, and whatever the other one did meanwhile."""
        claims.open.set()
        for cancelled in (0, 1):
            ids = await publish_many(broker, 6)
            claims.answers.clear()
            both = [asyncio.ensure_future(consumer.claim(3)) for _ in range(2)]
            await eventually(partial(are_working, broker, ids))
            both[cancelled].cancel()
            await asyncio.wait([both[cancelled]])
            claims.answers.set()
            given = [one.lease.id for one in (await both[1 - cancelled]).deliveries]
            given += await claim_ids(consumer, 3)
            assert sorted(given) == sorted(ids)

    async def test_a_consumer_that_ends_leaves_nothing_leased_that_did_not_arrive(
        self, broker: RedisBroker, consumer: Consumer, claims: Gate
    ) -> None:
        ids = await publish_many(broker, 6)
        claims.open.set()
        claims.answers.clear()
        both = [asyncio.ensure_future(consumer.claim(3)) for _ in range(2)]
        await eventually(partial(are_working, broker, ids))
        for one in both:
            one.cancel()
        await asyncio.wait(both)
        claims.answers.set()
        await consumer.aclose()
        async with broker.consumer([QUEUE]) as other:
            claim = await other.claim(6)
        assert sorted(one.lease.id for one in claim.deliveries) == sorted(ids)
        assert {(one.deaths, one.dequeue_count) for one in claim.deliveries} == {(0, 1)}

    async def test_in_several_namespaces_one_follows_the_other(
        self, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with broker.consumer(["a:x", "b:x"]) as consumer:
            assert (await consumer.claim(3)).deliveries == []
            gate = Gate(calls.ClaimCall)
            gate.guard(monkeypatch)
            both = [asyncio.ensure_future(consumer.claim(3)) for _ in range(2)]
            await eventually(lambda: gate.under_way == 1)
            await broker.ping()
            assert len(gate.all) == 1
            gate.open.set()
            await asyncio.gather(*both)

    async def test_a_large_one_is_no_more_calls_than_its_tasks_need(
        self, broker: RedisBroker, consumer: Consumer, claims: Gate
    ) -> None:
        await publish_many(broker, 600)
        claims.open.set()
        assert len(await claim_ids(consumer, 500)) == 500
        assert [call.limit for call in claims.all] == [250, 250]


class TestFinish:
    @pytest.fixture
    async def leases(self, broker: RedisBroker, consumer: Consumer) -> list[Lease]:
        await publish_many(broker, 230)
        return [one.lease for one in (await consumer.claim(230)).deliveries]

    @pytest.fixture
    def finishes(self, leases: list[Lease], monkeypatch: pytest.MonkeyPatch) -> Gate:
        gate = Gate(calls.FinishCall)
        gate.guard(monkeypatch)
        return gate

    async def test_the_parts_of_one_are_on_their_way_at_once(
        self, broker: RedisBroker, leases: list[Lease], finishes: Gate
    ) -> None:
        outcomes = [Finish(lease, Status.COMPLETED) for lease in leases]
        writing = asyncio.ensure_future(broker.finish(outcomes))
        await eventually(lambda: finishes.under_way == 3)
        finishes.open.set()
        assert await writing == [Receipt.OK] * 230

    async def test_what_goes_into_a_queue_keeps_its_order(
        self, broker: RedisBroker, consumer: Consumer, leases: list[Lease], finishes: Gate
    ) -> None:
        """And is written behind what needs none; each receipt is in its place."""
        outcomes: list[Outcome] = [Requeue(lease) for lease in leases]
        for done in range(0, 230, 2):
            outcomes[done] = Finish(leases[done], Status.COMPLETED)
        outcomes[4] = Finish(Lease(leases[4].id, QUEUE, 1), Status.COMPLETED)
        outcomes[5] = Requeue(Lease("nobody", QUEUE, 1))
        writing = asyncio.ensure_future(broker.finish(outcomes))
        await eventually(lambda: finishes.under_way == 1)
        await broker.ping()
        assert len(finishes.all) == 1
        finishes.open.set()
        receipts = await writing
        assert (receipts.pop(5), receipts.pop(4)) == (Receipt.GONE, Receipt.STALE)
        assert set(receipts) == {Receipt.OK}
        again = [lease.id for lease in leases[1::2] if lease is not leases[5]]
        assert await claim_ids(consumer, 230) == again


async def are_working(broker: RedisBroker, ids: Sequence[str]) -> bool:
    states = await broker.states(QUEUE, ids)
    return all(state is not None and state.status is Status.WORKING for state in states)
