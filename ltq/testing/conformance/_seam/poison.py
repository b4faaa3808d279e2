"""Tasks that kill their workers: deaths are counted in a row, and too many of them bury a task."""

from collections.abc import Callable
from functools import partial

import pytest

from ltq.broker import Broker
from ltq.message import Failure, Finish, Lease, Receipt, Requeue
from ltq.options import DEFAULT_MAX_DELIVERIES
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, claim_one, lose, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer


class TestPoison:
    async def test_a_task_that_killed_too_many_workers_is_rejected(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, max_deliveries=2)
        consumer = make_consumer(lease=0.02)
        for _ in range(2):
            delivery = await claim_one(broker, consumer)
            await lose(broker, delivery)
        state = await broker.state(QUEUE, envelope.id)
        assert state.status is Status.REJECTED
        assert "killed its worker 2 times" in (state.error or "")
        assert state.release_time is not None
        assert (state.dequeue_count, state.requeue_count) == (2, 1)
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.working, stats.dead) == (0, 0, 1)
        assert await claim_ids(make_consumer(), 1) == []

    async def test_a_sweep_counts_it_as_buried(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=1)
        await claim_one(broker, make_consumer(lease=0.02))

        async def buried() -> int:
            swept = await broker.sweep([QUEUE])
            assert swept.recovered == 0
            return swept.buried

        assert await eventually(buried) == 1

    async def test_the_last_holder_has_no_say_any_more(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=1)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        await lose(broker, delivery)
        assert await broker.release(delivery.lease) is Receipt.STALE
        assert (await broker.state(QUEUE, delivery.lease.id)).status is Status.REJECTED

    async def test_the_limit_has_a_default(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        consumer = make_consumer(lease=0.02)
        for deaths in range(DEFAULT_MAX_DELIVERIES):
            delivery = await claim_one(broker, consumer)
            assert delivery.deaths == deaths
            await lose(broker, delivery)
        state = await broker.state(QUEUE, envelope.id)
        assert state.status is Status.REJECTED

    async def test_its_state_stays_as_long_as_the_task_says(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, max_deliveries=1, result_ttl=0.0)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        await lose(broker, delivery)
        assert await broker.states(QUEUE, [envelope.id]) == [None]
        (stats,) = await broker.stats([QUEUE])
        assert stats.dead == 1

    async def test_failing_and_coming_back_are_no_deaths(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        await publish(broker, max_deliveries=1)
        failure = Failure("ValueError", "ValueError: no")
        for _ in range(3):
            delivery = await claim_one(broker, consumer)
            await broker.finish([Requeue(delivery.lease, failed=True, failure=failure)])
        delivery = await claim_one(broker, consumer)
        assert (delivery.deaths, delivery.tries, delivery.dequeue_count) == (0, 3, 4)

    @pytest.mark.parametrize(
        "end",
        [
            partial(Requeue),
            partial(Requeue, front=True),
            partial(Requeue, delay=0.02),
            partial(Requeue, failed=True, failure=Failure("ValueError", "ValueError: no")),
        ],
    )
    async def test_a_run_that_ends_by_itself_clears_the_deaths(
        self, broker: Broker, make_consumer: MakeConsumer, end: Callable[[Lease], Requeue]
    ) -> None:
        task = await publish(broker, max_deliveries=2)
        mortal, steady = make_consumer(lease=0.02), make_consumer()
        for _ in range(3):
            await lose(broker, await claim_one(broker, mortal))
            delivery = await claim_one(broker, steady)
            assert (delivery.deaths, delivery.isolation) == (1, 1)
            assert await broker.finish([end(delivery.lease)]) == [Receipt.OK]
        delivery = await claim_one(broker, mortal)
        assert (delivery.deaths, delivery.isolation) == (0, None)
        for _ in range(2):  # in a row they still bury it
            await lose(broker, delivery)
            if (await broker.state(QUEUE, task.id)).status is Status.PENDING:
                delivery = await claim_one(broker, mortal)
        assert (await broker.dead_letter(QUEUE, task.id)).deaths == 2

    async def test_a_letter_of_a_run_that_failed_counts_none(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, max_deliveries=2)
        await lose(broker, await claim_one(broker, make_consumer(lease=0.02)))
        delivery = await claim_one(broker, make_consumer())
        failure = Failure("ValueError", "ValueError: no")
        await broker.finish([Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)])
        assert (await broker.dead_letter(QUEUE, task.id)).deaths == 0
