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

SHORT = 0.02
"""Seconds of a lease that should end soon."""


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
        assert (state.dequeue_count, state.requeue_count, state.deaths) == (2, 1, 2)
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

    async def test_the_state_shows_the_deaths(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer, seen = make_consumer(lease=0.02), []
        envelope = await publish(broker)
        for _ in range(2):
            await lose(broker, await claim_one(broker, consumer))
            seen.append((await broker.state(QUEUE, envelope.id)).deaths)
        delivery = await claim_one(broker, make_consumer())
        seen.append((await broker.state(QUEUE, envelope.id)).deaths)
        await broker.release(delivery.lease)
        seen.append((await broker.state(QUEUE, envelope.id)).deaths)
        assert seen == [1, 2, 2, 0]

    async def test_a_cancelled_task_keeps_them(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await lose(broker, await claim_one(broker, make_consumer(lease=0.02)))
        await broker.cancel(QUEUE, envelope.id, 60.0)
        assert (await broker.state(QUEUE, envelope.id)).deaths == 1

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

    @pytest.mark.parametrize(
        "end",
        [
            partial(Requeue, is_void=True),
            partial(Requeue, is_void=True, front=True),
            partial(Requeue, is_void=True, delay=0.02),
            partial(Requeue, is_void=True, failure=Failure("ValueError", "ValueError: no")),
        ],
    )
    async def test_a_run_that_is_put_back_does_not(
        self, broker: Broker, make_consumer: MakeConsumer, end: Callable[[Lease], Requeue]
    ) -> None:
        task = await publish(broker, max_deliveries=2)
        mortal, steady = make_consumer(lease=0.02), make_consumer()
        await lose(broker, await claim_one(broker, mortal))
        for _ in range(2):
            delivery = await claim_one(broker, steady)
            assert (delivery.deaths, delivery.isolation) == (1, 1)
            assert await broker.finish([end(delivery.lease)]) == [Receipt.OK]
        await lose(broker, await claim_one(broker, mortal))
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


class TestOpenMaxDeliveries:
    """Who claims a task decides how many deaths are too many, if its envelope does not."""

    async def test_no_sweep_buries_it(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        task = await publish(broker, max_deliveries=None)
        consumer = make_consumer(lease=SHORT)
        for deaths in range(DEFAULT_MAX_DELIVERIES + 1):
            delivery = await claim_one(broker, consumer)
            assert (delivery.deaths, delivery.max_deliveries) == (deaths, None)
            await lose(broker, delivery)
        assert (await broker.state(QUEUE, task.id)).status is Status.PENDING

    async def test_an_envelope_that_says_nothing_has_the_default(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, make_consumer())
        assert delivery.max_deliveries == DEFAULT_MAX_DELIVERIES

    @pytest.mark.parametrize(("most", "isolation"), [(2, 1), (3, 10), (5, 1000)])
    async def test_it_is_isolated_as_its_consumer_says(
        self, broker: Broker, make_consumer: MakeConsumer, most: int, isolation: int
    ) -> None:
        await publish(broker, max_deliveries=None)
        await lose(broker, await claim_one(broker, make_consumer(lease=SHORT)))
        consumer = broker.consumer([QUEUE], max_deliveries={"x": 9, QUEUE: most, "y": 9})
        delivery = await claim_one(broker, consumer)
        assert (delivery.deaths, delivery.isolation) == (1, isolation)
        await consumer.aclose()

    async def test_what_its_consumer_will_reject_waits_for_nobody(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=None)
        await lose(broker, await claim_one(broker, make_consumer(lease=SHORT)))
        consumer = broker.consumer([QUEUE], max_deliveries={QUEUE: 1})
        (delivery,) = (await consumer.claim(1, 1000)).deliveries
        assert (delivery.deaths, delivery.isolation) == (1, None)
        await consumer.aclose()

    async def test_without_a_word_of_its_own_it_has_the_default(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=None)
        for _ in range(DEFAULT_MAX_DELIVERIES):
            await lose(broker, await claim_one(broker, make_consumer(lease=SHORT)))
        consumer = broker.consumer([QUEUE], max_deliveries={"another": 9})
        (delivery,) = (await consumer.claim(1, 1000)).deliveries
        assert delivery.isolation is None
        await consumer.aclose()

    async def test_an_envelope_that_says_it_goes_before(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, max_deliveries=2)
        await lose(broker, await claim_one(broker, make_consumer(lease=SHORT)))
        consumer = broker.consumer([QUEUE], max_deliveries={QUEUE: 1})
        assert (await claim_one(broker, consumer)).isolation == 1
        await consumer.aclose()

    async def test_a_letter_of_a_task_rejected_for_its_deaths_counts_them(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, max_deliveries=None)
        await lose(broker, await claim_one(broker, make_consumer(lease=SHORT)))
        lease = (await claim_one(broker, make_consumer())).lease
        failure = Failure("", "killed its worker once")
        end = Finish(lease, Status.REJECTED, failure=failure, dead=True, is_poison=True)
        await broker.finish([end])
        letter = await broker.dead_letter(QUEUE, task.id)
        assert (letter.deaths, letter.error, letter.error_type) == (1, failure.text, None)
        await broker.replay(QUEUE, [task.id])
        assert (await claim_one(broker, make_consumer())).deaths == 0
