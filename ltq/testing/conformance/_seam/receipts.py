"""Receipts: only the same outcome again is "ok", another one by the same lease is "stale"."""

from collections.abc import Callable

import pytest

from ltq.broker import Broker, Consumer
from ltq.message import Failure, Finish, Lease, Outcome, Receipt, Requeue
from ltq.state import Status
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

Make = Callable[[Lease, float], Outcome]

OUTCOMES: dict[str, Make] = {
    "requeued": lambda lease, ttl: Requeue(lease),
    "requeued in front": lambda lease, ttl: Requeue(lease, front=True),
    "requeued later": lambda lease, ttl: Requeue(lease, delay=30.0),
    "completed": lambda lease, ttl: Finish(lease, Status.COMPLETED, b"1", result_ttl=ttl),
    "failed": lambda lease, ttl: Finish(
        lease, Status.FAILED, failure=Failure("E", "E: no"), dead=True, result_ttl=ttl
    ),
    "rejected": lambda lease, ttl: Finish(lease, Status.REJECTED, result_ttl=ttl),
}

PAIRS = [(first, second) for first in OUTCOMES for second in OUTCOMES]


def expected(first: str, second: str) -> Receipt:
    """The receipt of the second outcome of a lease."""
    kinds = [name.split()[0] for name in (first, second)]
    return Receipt.OK if kinds[0] == kinds[1] else Receipt.STALE


@pytest.mark.parametrize("ttl", [60.0, 0.0], ids=["kept", "not kept"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
class TestSecondOutcome:
    async def test_of_a_later_call(
        self, broker: Broker, consumer: Consumer, first: str, second: str, ttl: float
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.finish([OUTCOMES[first](lease, ttl)]) == [Receipt.OK]
        before = await broker.states(QUEUE, [lease.id])
        receipts = await broker.finish([OUTCOMES[second](lease, ttl)])
        assert receipts == [expected(first, second)]
        assert await broker.states(QUEUE, [lease.id]) == before

    async def test_of_the_same_call(
        self, broker: Broker, consumer: Consumer, first: str, second: str, ttl: float
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        both = [OUTCOMES[first](lease, ttl), OUTCOMES[second](lease, ttl)]
        assert await broker.finish(both) == [Receipt.OK, expected(first, second)]
        assert await broker.finish([both[0]]) == [Receipt.OK]


class TestStaleOutcome:
    async def test_a_release_after_a_requeue_ends_nothing(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.requeue(lease) is Receipt.OK
        assert await broker.release(lease, result=b"1") is Receipt.STALE
        assert await broker.requeue(lease) is Receipt.OK
        state = await broker.state(QUEUE, lease.id)
        assert (state.status, state.result, state.requeue_count) == (Status.PENDING, None, 1)
        assert await claim_ids(consumer, 10) == [lease.id]

    async def test_of_a_lease_that_a_sweep_took_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        await lose(broker, delivery)
        assert await broker.requeue(delivery.lease) is Receipt.STALE
        assert await broker.release(delivery.lease) is Receipt.STALE

    async def test_of_a_former_life(self, broker: Broker, consumer: Consumer) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        failed = Finish(lease, Status.FAILED, dead=True)
        await broker.finish([failed])
        await broker.replay(QUEUE, [lease.id])
        assert await broker.finish([failed]) == [Receipt.STALE]
        assert await broker.requeue(lease) is Receipt.STALE

    async def test_a_lease_that_ran_out_holds_until_a_sweep(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        assert await broker.heartbeat([lease], 0.0) == []
        assert await broker.heartbeat([lease], 0.0) == []
        assert await broker.release(lease) is Receipt.OK
