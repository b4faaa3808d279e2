"""Leases: renewing, losing and fencing them."""

import time

from ltq.broker import Broker
from ltq.message import Finish, Lease, Outcome, Receipt, Requeue
from ltq.state import Progress, Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


class TestToken:
    async def test_it_grows_with_every_claim(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        await publish(broker)
        tokens = []
        for _ in range(3):
            delivery = await claim_one(broker, consumer)
            tokens.append(delivery.lease.token)
            await broker.requeue(delivery.lease)
        assert tokens[0] < tokens[1] < tokens[2]

    async def test_it_grows_even_when_the_task_was_forgotten_in_between(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        envelope = await publish(broker)
        old = (await claim_one(broker, consumer)).lease
        await broker.release(old, result_ttl=0)
        await publish(broker, id=envelope.id)
        new = (await claim_one(broker, consumer)).lease
        assert new.token > old.token
        assert await broker.release(old) is Receipt.STALE

    async def test_an_outcome_with_an_old_one_changes_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        await publish(broker)
        old = (await claim_one(broker, consumer)).lease
        await broker.requeue(old)
        new = (await claim_one(broker, consumer)).lease
        before = await broker.state(QUEUE, old.id)
        outcomes: list[Outcome] = [
            Finish(old, Status.COMPLETED, b"1"),
            Requeue(old),
            Requeue(old, delay=30.0),
        ]
        # The requeue was recorded, so a repeated call is ok and changes nothing.
        assert await broker.finish(outcomes) == [Receipt.STALE, Receipt.OK, Receipt.OK]
        assert not await broker.progress(old, Progress(1.0))
        assert await broker.heartbeat([old], 30.0) == [old]
        assert await broker.state(QUEUE, old.id) == before
        assert await broker.release(new) is Receipt.OK

    async def test_a_task_never_claimed_has_none(self, broker: Broker) -> None:
        envelope = await publish(broker)
        forged = Lease(envelope.id, QUEUE, 1)
        assert await broker.release(forged) is Receipt.STALE
        assert not await broker.progress(forged, Progress(1.0))
        assert await broker.heartbeat([forged], 30.0) == [forged]
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING


class TestHeartbeat:
    async def test_it_renews_a_lease(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        renewed, left = await publish_many(broker, 2)
        deliveries = (await make_consumer(lease=0.02).claim(2)).deliveries
        leases = {delivery.lease.id: delivery.lease for delivery in deliveries}
        assert await broker.heartbeat([leases[renewed]], 30.0) == []
        assert (await claim_one(broker, make_consumer(lease=0.5))).lease.id == left
        assert (await broker.sweep([QUEUE])).recovered == 0
        assert (await broker.state(QUEUE, renewed)).status is Status.WORKING
        assert await broker.release(leases[renewed]) is Receipt.OK

    async def test_the_new_end_may_be_sooner_than_the_old(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=30.0))
        await broker.heartbeat([delivery.lease], 0.05)
        await lose(broker, delivery)

    async def test_it_names_the_lost_ones(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        held, requeued, ended, gone, cancelled = await publish_many(broker, 5)
        claim = await consumer.claim(5)
        leases = {delivery.lease.id: delivery.lease for delivery in claim.deliveries}
        await broker.requeue(leases[requeued])
        await broker.release(leases[ended])
        await broker.release(leases[gone], result_ttl=0)
        await broker.cancel(QUEUE, cancelled, 60.0)
        lost = await broker.heartbeat(list(leases.values()), 30.0)
        assert {lease.id for lease in lost} == {requeued, ended, gone, cancelled}
        assert set(lost) == {lease for lease in leases.values() if lease.id != held}

    async def test_leases_of_several_namespaces_go_together(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        for queue in ("a:x", "b:x", "c:x"):
            await publish(broker, queue=queue)
        claim = await make_consumer("a:x", "b:x", "c:x").claim(3)
        leases = [delivery.lease for delivery in claim.deliveries]
        await broker.release(leases[1])
        assert await broker.heartbeat(leases, 30.0) == [leases[1]]

    async def test_a_lease_that_is_over_may_be_renewed_until_somebody_noticed(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.01))
        over = time.time() + 0.02
        await eventually(lambda: time.time() > over)
        assert await broker.heartbeat([delivery.lease], 30.0) == []
        assert (await broker.state(QUEUE, envelope.id)).status is Status.WORKING

    async def test_no_leases_is_no_error(self, broker: Broker) -> None:
        assert await broker.heartbeat([], 30.0) == []


class TestRecovery:
    async def test_the_task_of_a_dead_worker_is_pending_again(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.05, name="dead"))
        await lose(broker, delivery)
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.requeue_count, state.worker) == (Status.PENDING, 1, "dead")
        assert state.last_requeue_time is not None

    async def test_any_claim_recovers_it(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, body=b"kept", ctx=b"{}", max_tries=3)
        await claim_one(broker, make_consumer(lease=0.02))
        delivery = await claim_one(broker, make_consumer(on=open_broker(), lease=0.5))
        assert (delivery.lease.id, delivery.body, delivery.ctx) == (envelope.id, b"kept", b"{}")
        assert (delivery.deaths, delivery.dequeue_count) == (1, 2)
        assert (delivery.tries, delivery.max_tries) == (0, 3)

    async def test_due_in_includes_the_end_of_a_lease(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        await claim_one(broker, make_consumer(lease=5.0))
        claim = await make_consumer().claim(1)
        assert claim.due_in is not None
        assert 4.5 <= claim.due_in <= 6.5  # consumers do not all come at once

    async def test_the_tasks_come_back_behind_the_others(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        first, second = await publish_many(broker, 2)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        await lose(broker, delivery)
        assert await claim_ids(make_consumer(), 2) == [second, first]

    async def test_a_sweep_counts_what_it_does(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3)
        assert len((await make_consumer(lease=0.02).claim(3)).deliveries) == 3

        async def recovered() -> int:
            return (await broker.sweep([QUEUE])).recovered

        assert await eventually(recovered) == 3
        swept = await broker.sweep([QUEUE])
        assert (swept.recovered, swept.promoted, swept.buried) == (0, 0, 0)

    async def test_the_lost_lease_is_void_even_before_the_next_claim(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        await lose(broker, delivery)
        outcomes: list[Outcome] = [
            Finish(delivery.lease, Status.COMPLETED, b"1"),
            Requeue(delivery.lease),
        ]
        assert await broker.finish(outcomes) == [Receipt.STALE] * 2
        assert not await broker.progress(delivery.lease, Progress(1.0))
        assert await broker.heartbeat([delivery.lease], 30.0) == [delivery.lease]
        state = await broker.state(QUEUE, delivery.lease.id)
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)

    async def test_the_lost_lease_is_void_after_the_next_claim(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        old = await claim_one(broker, make_consumer(lease=0.02))
        new = await claim_one(broker, make_consumer(lease=0.5))
        await broker.heartbeat([new.lease], 30.0)
        assert await broker.release(old.lease, result=b"old") is Receipt.STALE
        assert await broker.release(new.lease, result=b"new") is Receipt.OK
        assert (await broker.state(QUEUE, new.lease.id)).result == b"new"
