"""What a store keeps of tasks that something follows."""

import pytest

from ltq.broker import Broker
from ltq.broker.flows import ending_key, pack_follow, unpack_follow
from ltq.message import Finish, Receipt
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._flows.kept import CTX, TTL
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_one,
    lose,
    make_envelope,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

RESULT = b"\xff\n7\n"
AFTER = [
    make_envelope(id="a", body=b"\x00\n\xff", delay=2.5, priority=Priority.HIGH, tags=("t",)),
    make_envelope(id="b", queue="other:task", ctx=b'{"a":"\xc3\xa4"}', eta=7e9, result_ttl=60.0),
]
FOLLOW = pack_follow(AFTER)


class TestFollowed:
    @pytest.mark.parametrize("ttl", [60.0, 0.0])
    @pytest.mark.parametrize("ctx", [b"", b'{"a":1}', CTX], ids=["plain", "ctx", "flow"])
    async def test_what_follows_is_kept_in_the_step_of_the_outcome(
        self, broker: Broker, make_consumer: MakeConsumer, ttl: float, ctx: bytes
    ) -> None:
        await publish(broker, ctx=ctx, serializer="msgpack")
        lease = (await claim_one(broker, make_consumer())).lease
        outcome = Finish(lease, Status.COMPLETED, RESULT, result_ttl=ttl, follow=FOLLOW)
        assert await broker.finish([outcome]) == [Receipt.OK]
        (ending,) = await broker.endings(QUEUE)
        assert (ending.key, ending.id) == (ending_key(lease.id, lease.token), lease.id)
        assert (ending.queue, ending.status, ending.ctx) == (QUEUE, Status.COMPLETED, ctx)
        assert (ending.result, ending.serializer, ending.body) == (RESULT, "json", b"")
        assert unpack_follow(ending.follow) == AFTER
        assert ending.time == pytest.approx(await broker.time(), abs=2.0)
        if ttl:
            state = await broker.state(QUEUE, lease.id)
            assert (state.status, state.result) == (Status.COMPLETED, RESULT)
        await broker.carried(QUEUE, [ending.key])
        assert await broker.finish([outcome]) == [Receipt.OK]  # a repeated call
        assert await broker.endings(QUEUE) == []

    async def test_it_concerns_no_other_outcome_of_the_call(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 4)
        claim = await make_consumer().claim(4)
        leases = [delivery.lease for delivery in claim.deliveries]
        outcomes = [Finish(lease, Status.COMPLETED, b"1") for lease in leases]
        outcomes[1] = Finish(leases[1], Status.COMPLETED, b"1", follow=FOLLOW)
        outcomes[2] = Finish(leases[2], Status.COMPLETED, b"1", follow=pack_follow(AFTER[:1]))
        assert await broker.finish(outcomes) == [Receipt.OK] * 4
        kept = {one.id: unpack_follow(one.follow) for one in await broker.endings(QUEUE)}
        assert kept == {leases[1].id: AFTER, leases[2].id: AFTER[:1]}
        for lease in leases:
            assert (await broker.state(QUEUE, lease.id)).result == b"1"

    async def test_it_may_be_large(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        body = b"\xfe" * (8 << 20)
        follow = pack_follow([make_envelope(body=body), *AFTER])
        await broker.finish([Finish(lease, Status.COMPLETED, b"1", follow=follow)])
        (ending,) = await broker.endings(QUEUE)
        first, *others = unpack_follow(ending.follow)
        assert (first.body == body, others) == (True, AFTER)

    async def test_a_lost_lease_keeps_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        lost = await claim_one(broker, make_consumer(lease=0.05))
        await lose(broker, lost)
        again = await claim_one(broker, make_consumer())
        outcomes = [
            Finish(one.lease, Status.COMPLETED, b"1", follow=FOLLOW) for one in (lost, again)
        ]
        assert await broker.finish(outcomes[:1]) == [Receipt.STALE]
        await broker.cancel(QUEUE, again.lease.id, TTL)
        assert await broker.finish(outcomes) == [Receipt.CANCELLED] * 2
        assert await broker.endings(QUEUE) == []
