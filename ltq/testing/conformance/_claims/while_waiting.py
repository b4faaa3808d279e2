"""Waiting with room: what comes may be leased during the wait, and the next claim gives it."""

import asyncio

from ltq.broker import Broker, Consumer
from ltq.message import Delivery
from ltq.state import Status
from ltq.testing.conformance._support.eventually import PATIENCE, SOON, eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

_TURNS = 12
"""Turns of an event loop after which a call over a network has come to its last step."""

_ROOM = 3


async def _idle(make_consumer: MakeConsumer, on: Broker | None = None) -> Consumer:
    """A consumer that has found nothing, as one that waits."""
    consumer = make_consumer() if on is None else make_consumer(on=on)
    assert (await consumer.claim(_ROOM)).deliveries == []
    return consumer


async def _woken(
    broker: Broker, consumer: Consumer, turns: int
) -> tuple[asyncio.Task[bool], asyncio.Future[list[str]]]:
    """A wait, and the sending of two tasks, so many turns of the event loop after that began."""
    waiting = await started(broker, consumer.wait(PATIENCE, _ROOM))
    publishing = asyncio.ensure_future(publish_many(broker, 2))
    for _ in range(turns):
        await asyncio.sleep(0)
    return waiting, publishing


async def _claim_all(consumer: Consumer, count: int) -> list[Delivery]:
    """Claim so many tasks, which may not be ready yet."""
    found: list[Delivery] = []

    async def have_come() -> bool:
        found.extend((await consumer.claim(count - len(found))).deliveries)
        return len(found) == count

    await eventually(have_come)
    return found


class TestWaitWithRoom:
    async def test_the_next_claim_gives_what_came(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumer = await _idle(make_consumer, open_broker())
        for _ in range(3):
            waiting = await started(broker, consumer.wait(PATIENCE, _ROOM))
            envelope = await publish(broker)
            assert await waiting
            claim = await consumer.claim(_ROOM)
            (delivery,) = claim.deliveries
            assert (delivery.lease.id, delivery.dequeue_count) == (envelope.id, 1)
            assert 0 <= claim.age < PATIENCE
            await broker.release(delivery.lease)

    async def test_it_gives_no_more_than_there_is_room_for(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer, other = await _idle(make_consumer), make_consumer()
        waiting = await started(broker, consumer.wait(PATIENCE, _ROOM))
        ids = await publish_many(broker, 5)
        assert await waiting
        given = await _claim_all(consumer, _ROOM)
        assert [delivery.lease.id for delivery in given] == ids[:_ROOM]
        assert await claim_ids(other, 5) == ids[_ROOM:]

    async def test_what_is_left_wakes_another(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumer, other = await _idle(make_consumer), await _idle(make_consumer, open_broker())
        waits = [await started(broker, one.wait(PATIENCE, 1)) for one in (consumer, other)]
        ids = await publish_many(broker, 2)
        assert await asyncio.gather(*waits) == [True, True]
        assert sorted(await claim_ids(consumer, 1) + await claim_ids(other, 1)) == sorted(ids)

    async def test_a_claim_with_less_room_leaves_the_rest_to_others(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer, other = await _idle(make_consumer), make_consumer()
        waiting = await started(broker, consumer.wait(PATIENCE, _ROOM))
        ids = await publish_many(broker, _ROOM)
        assert await waiting
        assert await claim_ids(consumer, 1) == ids[:1]
        rest = await _claim_all(other, _ROOM - 1)
        assert [delivery.lease.id for delivery in rest] == ids[1:]
        assert {(one.deaths, one.dequeue_count) for one in rest} == {(0, 1)}

    async def test_it_ends_when_the_time_is_over(self, make_consumer: MakeConsumer) -> None:
        consumer = await _idle(make_consumer)
        await asyncio.wait_for(consumer.wait(0.02, _ROOM), PATIENCE)
        assert await claim_ids(consumer, _ROOM) == []

    async def test_what_is_due_meanwhile_is_given(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = await _idle(make_consumer)
        envelope = await publish(broker, delay=0.1)
        found: list[str] = []
        while not found:
            claim = await consumer.claim(_ROOM)
            found = [delivery.lease.id for delivery in claim.deliveries]
            if not found:
                await asyncio.wait_for(consumer.wait(claim.due_in, _ROOM), PATIENCE)
        assert found == [envelope.id]

    async def test_a_queue_that_was_paused_meanwhile_gives_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = await _idle(make_consumer)
        waiting = await started(broker, consumer.wait(SOON, _ROOM))
        await broker.pause(QUEUE)
        envelope = await publish(broker)
        await waiting
        assert await claim_ids(consumer, _ROOM) == []
        await broker.resume(QUEUE)
        assert (await claim_one(broker, consumer)).lease.id == envelope.id

    async def test_two_that_wait_never_get_the_same(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumers = [await _idle(make_consumer), await _idle(make_consumer, open_broker())]

        found: list[str] = []

        async def work(consumer: Consumer) -> None:
            while len(found) < 40:
                await consumer.wait(0.2, _ROOM)
                found.extend(await claim_ids(consumer, _ROOM))

        working = [await started(broker, work(consumer)) for consumer in consumers]
        ids = [one for _ in range(10) for one in await publish_many(broker, 4)]
        await asyncio.wait_for(asyncio.gather(*working), PATIENCE)
        assert sorted(found) == sorted(ids)

    async def test_a_cancelled_wait_leaves_nothing_leased(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        """Whenever it is cancelled, what came meanwhile waits again, soon and as if nothing was."""
        other = make_consumer()
        for turns in range(_TURNS):
            consumer = await _idle(make_consumer)
            waiting, publishing = await _woken(broker, consumer, turns)
            waiting.cancel()
            await asyncio.wait([waiting])
            ids = await publishing
            # If it was over, a claim follows.
            taker = other if waiting.cancelled() and turns % 2 else consumer
            given = await _claim_all(taker, 2)
            assert [delivery.lease.id for delivery in given] == ids
            assert {(one.deaths, one.dequeue_count) for one in given} == {(0, 1)}
            for delivery in given:
                await broker.release(delivery.lease)
            await consumer.aclose()

    async def test_a_consumer_that_ends_leaves_nothing_leased(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        other = make_consumer()
        for turns in range(_TURNS):
            consumer = await _idle(make_consumer)
            waiting, publishing = await _woken(broker, consumer, turns)
            await consumer.aclose()
            waiting.cancel()
            await asyncio.wait([waiting])
            ids = await publishing
            given = await _claim_all(other, 2)
            assert [delivery.lease.id for delivery in given] == ids
            assert {(one.deaths, one.dequeue_count) for one in given} == {(0, 1)}
            for delivery in given:
                await broker.release(delivery.lease)

    async def test_a_lease_begins_when_the_task_comes(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = await _idle(make_consumer)
        waiting = await started(broker, consumer.wait(PATIENCE, _ROOM))
        envelope = await publish(broker)
        await waiting
        await consumer.claim(_ROOM)
        state = await broker.state(QUEUE, envelope.id)
        assert state.status is Status.WORKING
        assert state.enqueue_time is not None
        assert state.last_dequeue_time is not None
        assert state.enqueue_time <= state.last_dequeue_time
