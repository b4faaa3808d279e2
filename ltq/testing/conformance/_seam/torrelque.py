"""What Torrelque's own tests expect from a reliable queue, as tests of LTQ's brokers.

The scenarios are Torrelque 0.9's: the same steps lead to the same statuses and the same counts.
"""

import asyncio

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.message import Delivery, Finish, Lease, Receipt, Requeue
from ltq.state import Status, TaskState
from ltq.testing.conformance._support.eventually import SOON, eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

Counts = tuple[Status, int, int]


def counts(state: TaskState[bytes] | None) -> Counts:
    """Status, dequeues and requeues."""
    assert state is not None
    return state.status, state.dequeue_count, state.requeue_count


async def places(broker: Broker) -> tuple[int, int, int]:
    """How many tasks are working, pending and delayed."""
    (stats,) = await broker.stats([QUEUE])
    return stats.working, stats.pending, stats.delayed


async def all_counts(broker: Broker, ids: list[str]) -> set[Counts]:
    return {counts(state) for state in await broker.states(QUEUE, ids)}


async def claim_leases(consumer: Consumer, limit: int) -> list[Lease]:
    return [delivery.lease for delivery in (await consumer.claim(limit)).deliveries]


class TestTorrelqueEnqueue:
    async def test_enqueued_tasks_are_pending(self, broker: Broker) -> None:
        first, second = await publish(broker, timeout=5.0), await publish(broker)
        assert await places(broker) == (0, 2, 0)
        states = await broker.states(QUEUE, [first.id, second.id])
        assert [state and state.timeout for state in states] == [5.0, None]
        assert {counts(state) for state in states} == {(Status.PENDING, 0, 0)}

    async def test_a_task_enqueued_with_a_delay_is_delayed(self, broker: Broker) -> None:
        envelope = await publish(broker, timeout=5.0, delay=30.0)
        assert counts(await broker.state(QUEUE, envelope.id)) == (Status.DELAYED, 0, 0)
        assert await places(broker) == (0, 0, 1)


class TestTorrelqueDequeue:
    async def test_one_after_the_other(self, broker: Broker, consumer: Consumer) -> None:
        first, second = await publish_many(broker, 2)
        assert await claim_ids(consumer, 1) == [first]
        assert await places(broker) == (1, 1, 0)
        assert counts(await broker.state(QUEUE, first)) == (Status.WORKING, 1, 0)
        assert await claim_ids(consumer, 1) == [second]
        assert await places(broker) == (2, 0, 0)
        assert counts(await broker.state(QUEUE, second)) == (Status.WORKING, 1, 0)
        assert await broker.claim(consumer, 1, timeout=0.05) == []

    async def test_several_consumers_at_once(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        done: list[str] = []

        async def consume(on: Broker) -> None:
            consumer = make_consumer(on=on)
            while len(done) < 2:
                for delivery in await on.claim(consumer, 1, timeout=0.1):
                    done.append(delivery.lease.id)
                    await on.release(delivery.lease)

        consuming = [asyncio.create_task(consume(open_broker())) for _ in range(8)]
        ids = await publish_many(broker, 2)
        for task_id in ids:
            async for state in broker.watch(QUEUE, task_id, timeout=SOON):
                assert state.dequeue_count <= 1
        await asyncio.gather(*consuming)
        assert sorted(done) == sorted(ids)

    async def test_in_bulk(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 10)
        assert await places(broker) == (0, 10, 0)
        assert await claim_ids(consumer, 8) == ids[:8]
        assert await places(broker) == (8, 2, 0)
        assert await all_counts(broker, ids[:8]) == {(Status.WORKING, 1, 0)}
        assert await all_counts(broker, ids[8:]) == {(Status.PENDING, 0, 0)}
        assert await claim_ids(consumer, 8) == ids[8:]
        assert await places(broker) == (10, 0, 0)
        assert await broker.claim(consumer, 4, timeout=0.05) == []


class TestTorrelqueRequeue:
    async def test_a_requeued_task_is_pending_behind_the_others(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, second = await publish_many(broker, 2)
        await broker.requeue((await claim_one(broker, consumer)).lease)
        assert await places(broker) == (0, 2, 0)
        state = await broker.state(QUEUE, first)
        assert counts(state) == (Status.PENDING, 1, 1)
        assert state.last_dequeue_time is not None
        assert state.last_requeue_time is not None
        assert await claim_ids(consumer, 2) == [second, first]

    async def test_with_a_delay_it_is_delayed_and_not_yet_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, _ = await publish_many(broker, 2)
        await broker.requeue((await claim_one(broker, consumer)).lease, delay=3600.0)
        assert await places(broker) == (0, 1, 1)
        state = await broker.state(QUEUE, first)
        assert counts(state) == (Status.DELAYED, 1, 0)
        assert state.last_requeue_time is None

    async def test_two_requeues_and_a_result(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker, timeout=300.0)
        for _ in range(2):
            await broker.requeue((await claim_one(broker, consumer)).lease)
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
        state = await broker.state(QUEUE, envelope.id)
        assert counts(state) == (Status.COMPLETED, 3, 2)
        assert (state.result, state.timeout) == (b"1", 300.0)
        assert state.release_time is not None

    async def test_it_may_set_another_timeout(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker, timeout=5.0)
        await broker.requeue((await claim_one(broker, consumer)).lease, timeout=10.0)
        state = await broker.state(QUEUE, envelope.id)
        assert (*counts(state), state.timeout) == (Status.PENDING, 1, 1, 10.0)

    async def test_an_unknown_task_is_no_disaster(self, broker: Broker) -> None:
        assert await broker.requeue(Lease("123", QUEUE, 1)) is Receipt.GONE
        assert await places(broker) == (0, 0, 0)

    async def test_in_bulk(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 10)
        leases = await claim_leases(consumer, 8)
        await broker.finish([Requeue(lease) for lease in leases[:5]])
        assert await places(broker) == (3, 7, 0)
        assert await all_counts(broker, ids[:5]) == {(Status.PENDING, 1, 1)}
        assert await all_counts(broker, ids[5:8]) == {(Status.WORKING, 1, 0)}
        assert await claim_ids(consumer, 10) == ids[8:] + ids[:5]


class TestTorrelqueRelease:
    async def test_without_a_result_to_keep_nothing_stays(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 2)
        lease = (await claim_one(broker, consumer)).lease
        await broker.release(lease, result_ttl=0)
        assert await places(broker) == (0, 1, 0)
        with pytest.raises(TaskNotFoundError):
            await broker.state(QUEUE, lease.id)

    async def test_an_unknown_task_is_no_disaster(self, broker: Broker) -> None:
        assert await broker.release(Lease("123", QUEUE, 1)) is Receipt.GONE

    async def test_a_result_is_kept(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker, timeout=5.0)
        await broker.release((await claim_one(broker, consumer)).lease, result=b'{"foo":26}')
        state = await broker.state(QUEUE, envelope.id)
        assert await places(broker) == (0, 0, 0)
        assert counts(state) == (Status.COMPLETED, 1, 0)
        assert (state.result, state.timeout) == (b'{"foo":26}', 5.0)
        assert state.last_requeue_time is None

    async def test_a_rejected_task_may_have_a_result_too(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        envelope = await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.release(lease, result=b"9", status=Status.REJECTED, result_ttl=10.0)
        state = await broker.state(QUEUE, envelope.id)
        assert counts(state) == (Status.REJECTED, 1, 0)
        assert state.result == b"9"

    async def test_in_bulk(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 10)
        leases = await claim_leases(consumer, 8)
        await broker.finish([Finish(lease, Status.COMPLETED, b"42") for lease in leases[:5]])
        assert await places(broker) == (3, 2, 0)
        assert await all_counts(broker, ids[:5]) == {(Status.COMPLETED, 1, 0)}
        assert await all_counts(broker, ids[5:8]) == {(Status.WORKING, 1, 0)}
        assert await claim_ids(consumer, 10) == ids[8:]


class Watching:
    """Watches one task in the background and keeps its states."""

    def __init__(self, broker: Broker, task_id: str, timeout: float = 5.0) -> None:
        self.seen: list[TaskState[bytes]] = []
        self.task = asyncio.create_task(self._watch(broker, task_id, timeout))

    async def _watch(self, broker: Broker, task_id: str, timeout: float) -> None:
        async for state in broker.watch(QUEUE, task_id, timeout=timeout):
            self.seen.append(state)

    async def count(self, number: int) -> None:
        await eventually(lambda: len(self.seen) == number, description=f"state {number}")


class TestTorrelqueWatch:
    async def test_each_step_of_a_long_life(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        envelope = await publish(broker, timeout=300.0)
        watching = Watching(broker, envelope.id)
        await watching.count(1)
        lease = (await claim_one(broker, consumer)).lease
        await watching.count(2)
        await broker.requeue(lease, timeout=30.0)
        await watching.count(3)
        lease = (await claim_one(broker, consumer)).lease
        await watching.count(4)
        await broker.requeue(lease, delay=0.1)
        await watching.count(5)

        async def promoted() -> int:
            return (await broker.sweep([QUEUE])).promoted

        await eventually(promoted)
        await watching.count(6)
        lease = (await claim_one(broker, consumer)).lease
        await watching.count(7)
        await broker.release(lease, result_ttl=0)
        with pytest.raises(TaskNotFoundError):  # Torrelque's watch just ends here
            await watching.task
        assert [(*counts(state), state.timeout) for state in watching.seen] == [
            (Status.PENDING, 0, 0, 300.0),
            (Status.WORKING, 1, 0, 300.0),
            (Status.PENDING, 1, 1, 30.0),
            (Status.WORKING, 2, 1, 30.0),
            (Status.DELAYED, 2, 1, 30.0),
            (Status.PENDING, 2, 2, 30.0),
            (Status.WORKING, 3, 2, 30.0),
        ]

    async def test_a_result_ends_it(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker)
        watching = Watching(broker, envelope.id)
        await watching.count(1)
        lease = (await claim_one(broker, consumer)).lease
        await watching.count(2)
        await broker.release(lease, result=b'{"status":"ERROR"}', status=Status.REJECTED)
        await watching.task
        assert [counts(state) for state in watching.seen] == [
            (Status.PENDING, 0, 0),
            (Status.WORKING, 1, 0),
            (Status.REJECTED, 1, 0),
        ]

    async def test_a_timeout_ends_it(self, broker: Broker, consumer: Consumer) -> None:
        envelope = await publish(broker)
        watching = Watching(broker, envelope.id, timeout=1.0)
        await watching.count(1)
        await claim_one(broker, consumer)
        await watching.count(2)
        with pytest.raises(ResultTimeoutError):
            await watching.task
        assert [counts(state) for state in watching.seen] == [
            (Status.PENDING, 0, 0),
            (Status.WORKING, 1, 0),
        ]

    async def test_a_released_task_has_its_final_state(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
        states = [state async for state in broker.watch(QUEUE, envelope.id)]
        assert [counts(state) for state in states] == [(Status.COMPLETED, 1, 0)]

    async def test_an_unknown_task_is_a_lookup_error(self, broker: Broker) -> None:
        with pytest.raises(LookupError):
            await anext(aiter(broker.watch(QUEUE, "the-road")))


class TestTorrelqueSweep:
    async def test_nothing_to_do(self, broker: Broker) -> None:
        swept = await broker.sweep([QUEUE])
        assert (swept.recovered, swept.promoted, swept.buried) == (0, 0, 0)

    async def test_stale_and_delayed_tasks_come_back(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        stale, delayed = await publish_many(broker, 2)
        dying, living = make_consumer(), make_consumer()
        lost: Delivery = await claim_one(broker, dying)
        await broker.requeue((await claim_one(broker, living)).lease, delay=0.3)
        swept = await broker.sweep([QUEUE])
        assert (swept.recovered, swept.promoted) == (0, 0)
        assert await places(broker) == (1, 0, 1)
        assert counts(await broker.state(QUEUE, stale)) == (Status.WORKING, 1, 0)
        assert counts(await broker.state(QUEUE, delayed)) == (Status.DELAYED, 1, 0)
        await broker.heartbeat([lost.lease], 0.3)
        await lose(broker, lost)
        assert await places(broker) == (0, 2, 0)
        for task_id in (stale, delayed):
            state = await broker.state(QUEUE, task_id)
            assert counts(state) == (Status.PENDING, 1, 1)
            assert state.last_requeue_time is not None
        assert await claim_ids(living, 10) == [delayed, stale]
