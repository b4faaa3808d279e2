"""Cancelling: final, wherever the task is."""

import asyncio

import pytest

from ltq.broker import Broker
from ltq.errors import TaskNotFoundError
from ltq.message import Finish, Outcome, Receipt, Requeue
from ltq.state import Progress, Status
from ltq.testing.conformance._support.eventually import SOON, eventually
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, claim_one, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker
from ltq.testing.conformance._support.periods import period


class TestCancel:
    async def test_a_pending_task_never_starts(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        async with period(broker) as cancelled:
            assert await broker.cancel(QUEUE, envelope.id, 60.0)
        assert await claim_ids(make_consumer(), 10) == []
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.dequeue_count) == (Status.CANCELLED, 0)
        assert state.release_time in cancelled

    async def test_a_delayed_task_never_starts(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker, delay=0.02)
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
        assert await broker.claim(make_consumer(), 1, timeout=0.1) == []
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.requeue_count) == (Status.CANCELLED, 0)

    async def test_it_is_counted_nowhere_then(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        working = await publish(broker)
        await claim_one(broker, make_consumer())
        pending, delayed = await publish(broker), await publish(broker, delay=30.0)
        for envelope in (working, pending, delayed):
            assert await broker.cancel(QUEUE, envelope.id, 60.0)
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 0, 0)

    async def test_others_in_the_queue_go_on(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelopes = [await publish(broker) for _ in range(3)]
        await broker.cancel(QUEUE, envelopes[1].id, 60.0)
        assert await claim_ids(make_consumer(), 10) == [envelopes[0].id, envelopes[2].id]

    async def test_a_final_task_stays_as_it_is(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, make_consumer())).lease, result=b"1")
        before = await broker.state(QUEUE, envelope.id)
        assert not await broker.cancel(QUEUE, envelope.id, 60.0)
        assert await broker.state(QUEUE, envelope.id) == before

    async def test_a_second_cancel_finds_it_final(self, broker: Broker) -> None:
        envelope = await publish(broker)
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
        assert not await broker.cancel(QUEUE, envelope.id, 60.0)

    async def test_an_unknown_task_cannot_be_cancelled(self, broker: Broker) -> None:
        with pytest.raises(TaskNotFoundError) as caught:
            await broker.cancel(QUEUE, "nobody", 60.0)
        assert caught.value.task_id == "nobody"

    async def test_its_state_stays_for_the_result_ttl(self, broker: Broker) -> None:
        envelope = await publish(broker)
        await broker.cancel(QUEUE, envelope.id, 0.1)

        async def gone() -> bool:
            return await broker.states(QUEUE, [envelope.id]) == [None]

        await eventually(gone)

    async def test_without_a_result_ttl_it_is_gone_at_once(self, broker: Broker) -> None:
        envelope = await publish(broker)
        assert await broker.cancel(QUEUE, envelope.id, 0.0)
        assert await broker.states(QUEUE, [envelope.id]) == [None]

    async def test_a_result_ttl_of_the_task_goes_before(self, broker: Broker) -> None:
        envelope = await publish(broker, result_ttl=0.0)
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
        assert await broker.states(QUEUE, [envelope.id]) == [None]


class TestCancelOfAWorkingTask:
    async def test_it_is_cancelled_at_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await claim_one(broker, make_consumer(name="worker-1"))
        assert await broker.cancel(QUEUE, envelope.id, 60.0)
        state = await broker.state(QUEUE, envelope.id)
        assert (state.status, state.worker) == (Status.CANCELLED, "worker-1")

    async def test_its_lease_is_void(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        envelope = await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.cancel(QUEUE, envelope.id, 60.0)
        outcomes: list[Outcome] = [
            Finish(lease, Status.COMPLETED, b"1"),
            Requeue(lease),
            Requeue(lease, delay=1.0, failed=True),
        ]
        assert await broker.finish(outcomes) == [Receipt.CANCELLED] * 3
        assert not await broker.progress(lease, Progress(1.0))
        assert await broker.heartbeat([lease], 30.0) == [lease]
        assert (await broker.state(QUEUE, envelope.id)).status is Status.CANCELLED

    async def test_an_outcome_of_a_forgotten_one_is_gone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        await broker.cancel(QUEUE, envelope.id, 0.0)
        assert await broker.release(lease) is Receipt.GONE

    async def test_the_holder_is_told(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        told: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

        def revoked(task_id: str) -> None:
            told.put_nowait((task_id, asyncio.get_running_loop()))

        first, second = await publish(broker), await publish(broker)
        consumer = make_consumer(on=open_broker(), revoked=revoked)
        assert len((await consumer.claim(2)).deliveries) == 2
        for envelope in (second, first):
            await broker.cancel(QUEUE, envelope.id, 60.0)
            heard = await asyncio.wait_for(told.get(), SOON)
            assert heard == (envelope.id, asyncio.get_running_loop())

    async def test_only_the_holder_is_told(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        heard_by_holder: asyncio.Queue[str] = asyncio.Queue()
        heard_by_other: list[str] = []
        first, second = await publish(broker), await publish(broker)
        holder = make_consumer(revoked=heard_by_holder.put_nowait)
        other = make_consumer(revoked=heard_by_other.append)
        await claim_one(broker, holder)
        delivery = await claim_one(broker, other)
        await broker.release(delivery.lease)
        await broker.cancel(QUEUE, second.id, 60.0)
        await broker.cancel(QUEUE, first.id, 60.0)
        assert await asyncio.wait_for(heard_by_holder.get(), SOON) == first.id
        assert heard_by_other == []
