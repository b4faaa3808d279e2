"""First in, first out: also for tasks that come back together, or become due together."""

from collections.abc import Sequence

import pytest

from ltq.broker import Broker, Consumer
from ltq.message import Lease, Requeue
from ltq.options import Priority
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    lose_all,
    make_envelope,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

IDS = [f"{number * 7 % 20:02d}" for number in range(20)]
"""Ids whose order is another one than that of their publishing."""


async def publish_ids(broker: Broker, ids: Sequence[str], **fields: object) -> None:
    await broker.publish([make_envelope(id=task_id, **fields) for task_id in ids])


async def claim_leases(consumer: Consumer, limit: int) -> list[Lease]:
    return [delivery.lease for delivery in (await consumer.claim(limit)).deliveries]


class TestOrderOfReturns:
    """What is requeued to the front stays in the order of its claims."""

    async def test_of_one_call(self, broker: Broker, consumer: Consumer) -> None:
        await publish_ids(broker, IDS)
        leases = await claim_leases(consumer, 10)
        await broker.finish([Requeue(lease, front=True) for lease in leases])
        assert await claim_ids(consumer, 30) == IDS

    @pytest.mark.parametrize("order", ["forward", "backward", "mixed"])
    async def test_of_several_calls(self, broker: Broker, consumer: Consumer, order: str) -> None:
        await publish_ids(broker, IDS)
        leases = await claim_leases(consumer, 6) + await claim_leases(consumer, 6)
        orders = {
            "forward": leases,
            "backward": leases[::-1],
            "mixed": [*leases[1::2], *leases[::2]],
        }
        for lease in orders[order][:6]:
            await broker.finish([Requeue(lease, front=True)])
        await broker.finish([Requeue(lease, front=True) for lease in orders[order][6:]])
        assert await claim_ids(consumer, 30) == IDS

    async def test_of_many_in_one_call(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 700)
        leases = await claim_leases(consumer, 650)
        await broker.finish([Requeue(lease, front=True) for lease in leases])
        assert await claim_ids(consumer, 1000) == ids

    async def test_of_several_consumers(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish_ids(broker, IDS)
        ones, others = make_consumer(), make_consumer()
        first = await claim_leases(ones, 4)
        second = await claim_leases(others, 4)
        first += await claim_leases(ones, 4)
        await broker.finish([Requeue(lease, front=True) for lease in first])
        await broker.finish([Requeue(lease, front=True) for lease in second])
        assert await claim_ids(make_consumer(), 30) == IDS

    async def test_before_those_that_came_back_to_the_end(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_ids(broker, IDS[:4])
        leases = await claim_leases(consumer, 4)
        await broker.finish([Requeue(lease) for lease in leases[:2]])
        await broker.finish([Requeue(lease, front=True) for lease in leases[2:]])
        assert await claim_ids(consumer, 30) == [*IDS[2:4], *IDS[:2]]

    async def test_in_each_priority(self, broker: Broker, consumer: Consumer) -> None:
        for level in Priority:
            await publish_ids(broker, [f"{level:d}{one}" for one in IDS[:5]], priority=level)
        leases = await claim_leases(consumer, 30)
        await broker.finish([Requeue(lease, front=True) for lease in leases])
        assert await claim_ids(consumer, 30) == [lease.id for lease in leases]


class TestOrderOfRecoveries:
    async def test_what_a_dead_worker_held(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_ids(broker, IDS)
        await lose_all(broker, make_consumer(lease=0.05), IDS)
        assert await claim_ids(make_consumer(), 30) == IDS

    async def test_of_many(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        ids = await publish_many(broker, 250)
        await lose_all(broker, make_consumer(lease=0.3), ids)
        assert await claim_ids(make_consumer(), 1000) == ids

    async def test_its_heartbeats_do_not_change_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_ids(broker, IDS)
        dying = make_consumer()
        leases = await claim_leases(dying, 10) + await claim_leases(dying, 10)
        assert await broker.heartbeat(leases[::-1], 0.05) == []
        recovered = 0

        async def are_back() -> bool:
            nonlocal recovered
            recovered += (await broker.sweep([QUEUE])).recovered
            return recovered == len(IDS)

        await eventually(are_back, description="the end of the leases")
        assert await claim_ids(make_consumer(), 30) == IDS


class TestOrderOfDueTasks:
    async def test_tasks_sent_together_with_one_delay(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_ids(broker, IDS, delay=0.05)
        assert await self.promoted(broker) == IDS
        assert await claim_ids(consumer, 30) == IDS

    async def test_tasks_put_back_together_with_one_delay(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_ids(broker, IDS)
        leases = await claim_leases(consumer, 30)
        await broker.finish([Requeue(lease, delay=0.05) for lease in leases])
        assert await self.promoted(broker) == IDS
        assert await claim_ids(consumer, 30) == IDS

    async def test_they_wait_behind_those_that_are_ready(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_ids(broker, IDS, delay=0.05)
        ready = await publish_many(broker, 3)
        assert await self.promoted(broker) == IDS
        assert await claim_ids(consumer, 30) == [*ready, *IDS]

    @staticmethod
    async def promoted(broker: Broker) -> list[str]:
        """Wait until all are ready."""
        count = 0

        async def are_ready() -> bool:
            nonlocal count
            count += (await broker.sweep([QUEUE])).promoted
            return count == len(IDS)

        await eventually(are_ready, description="the due time")
        return IDS
