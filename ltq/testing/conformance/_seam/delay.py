"""Tasks that wait until they are due."""

import time

import pytest

from ltq.broker import Broker
from ltq.message import Requeue
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    make_envelope,
    publish,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer
from ltq.testing.conformance._support.periods import least, period


class TestDelay:
    async def test_a_delayed_task_cannot_be_claimed(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=30.0)
        claim = await make_consumer().claim(10)
        assert claim.deliveries == []
        assert claim.due_in == pytest.approx(30.0, abs=1.0)
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.requeue_count) == (Status.DELAYED, 0)

    async def test_it_is_claimed_when_it_is_due(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()

        async def lateness() -> float:
            envelope = await publish(broker, delay=0.1)
            delivery = await claim_one(broker, consumer)
            state = await broker.state(QUEUE, envelope.id)
            assert delivery.lease.id == envelope.id
            assert state.last_dequeue_time is not None
            late = state.last_dequeue_time - delivery.enqueue_time - 0.1
            assert late >= 0
            return late

        assert await least(lateness, 0.2) < 0.2

    async def test_becoming_due_does_not_count_as_coming_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=0.05)
        await claim_one(broker, make_consumer())
        state = await broker.state(QUEUE, envelope.id)
        assert (state.requeue_count, state.dequeue_count) == (0, 1)

    async def test_it_waits_since_it_became_due(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=0.2)

        async def promoted() -> int:
            return (await broker.sweep([QUEUE])).promoted

        async with period(broker) as waited:
            await eventually(promoted)
        state = await broker.state(QUEUE, envelope.id)
        assert state.last_requeue_time in waited
        (stats,) = await broker.stats([QUEUE])
        assert stats.oldest is not None
        assert stats.oldest < time.time() - (state.enqueue_time or 0.0) - 0.1

    async def test_an_eta_in_the_future_delays(self, broker: Broker) -> None:
        envelope = await publish(broker, eta=time.time() + 30.0)
        assert (await broker.state(QUEUE, envelope.id)).status is Status.DELAYED

    async def test_an_eta_that_is_near_is_met(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        eta = time.time() + 0.1
        envelope = await publish(broker, eta=eta)
        await claim_one(broker, make_consumer())
        state = await broker.state(QUEUE, envelope.id)
        assert state.last_dequeue_time is not None
        assert state.last_dequeue_time >= eta

    async def test_an_eta_in_the_past_does_not_delay(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, eta=time.time() - 30.0)
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING
        assert await claim_ids(make_consumer(), 1) == [envelope.id]

    async def test_the_earlier_one_starts_first(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        later, earlier = make_envelope(delay=0.1), make_envelope(delay=0.05)
        await broker.publish([later, earlier])
        consumer = make_consumer()
        claimed = [(await claim_one(broker, consumer)).lease.id for _ in range(2)]
        assert claimed == [earlier.id, later.id]

    async def test_a_task_due_earlier_than_those_known_wakes_a_consumer(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, delay=30.0)
        waiting = await started(broker, claim_one(broker, make_consumer()))
        sooner = await publish(broker, delay=0.05)
        assert (await waiting).lease.id == sooner.id

    async def test_due_in_is_the_earliest_time(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, delay=30.0)
        await publish(broker, delay=10.0)
        assert (await make_consumer().claim(1)).due_in == pytest.approx(10.0, abs=1.0)

    async def test_what_is_due_in_other_queues_of_the_namespace_is_moved_too(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        other = await publish(broker, queue="mail:other", delay=0.05)
        consumer = make_consumer()

        async def moved() -> bool:
            await consumer.claim(1)
            return (await broker.state("mail:other", other.id)).status is Status.PENDING

        await eventually(moved)

    async def test_a_sweep_moves_what_is_due(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=0.5)
        assert (await broker.sweep([QUEUE])).promoted == 0

        async def promoted() -> int:
            return (await broker.sweep([QUEUE])).promoted

        assert await eventually(promoted) == 1
        assert (await broker.state(QUEUE, envelope.id)).status is Status.PENDING
        assert (await broker.sweep([QUEUE])).promoted == 0


class TestDelayOfARequeue:
    async def test_the_task_is_delayed_and_comes_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        envelope = await publish(broker)
        await broker.requeue((await claim_one(broker, consumer)).lease, delay=0.1)
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.requeue_count) == (Status.DELAYED, 0)
        assert state.last_requeue_time is None
        assert await claim_ids(consumer, 1) == []
        delivery = await claim_one(broker, consumer)
        state = await broker.state(QUEUE, envelope.id)
        assert (delivery.dequeue_count, state.requeue_count) == (2, 1)
        assert state.last_requeue_time is not None

    async def test_it_counts_once_however_often_it_waited(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer, counts = make_consumer(), []
        envelope = await publish(broker, delay=0.02)
        for _ in range(3):
            delivery = await claim_one(broker, consumer)
            counts.append((await broker.state(QUEUE, envelope.id)).requeue_count)
            await broker.requeue(delivery.lease, delay=0.02)
        assert counts == [0, 1, 2]

    async def test_front_means_nothing_with_a_delay(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        await publish(broker)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Requeue(delivery.lease, delay=30.0, front=True)])
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.DELAYED
