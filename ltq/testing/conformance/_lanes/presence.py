"""Which lanes live consumers serve."""

import pytest

from ltq.broker import Broker
from ltq.message import Envelope
from ltq.state import QueueStats
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

LANES = [QUEUE, "shared/mail:send", "other:x"]


class TestServed:
    async def test_nobody_serves_a_lane_at_first(self, broker: Broker) -> None:
        assert await broker.served(LANES) == [None] * 3
        assert await broker.served([]) == []

    async def test_very_many_lanes_are_served(self, broker: Broker) -> None:
        many = [f"mail:queue{i}" for i in range(8100)]  # more than Lua can unpack
        await broker.serve(many, 60.0)
        assert await broker.served(many) == [0.0] * len(many)

    async def test_a_consumer_serves_its_lanes_from_its_first_claim_on(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer(*LANES[1:])
        assert await broker.served(LANES) == [None] * 3
        await consumer.claim(1)
        assert await open_broker().served(LANES) == [None, 0.0, 0.0]

    async def test_those_of_the_tasks_that_it_knows_are_among_them(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await make_consumer("shared", QUEUE, knows=[QUEUE]).claim(1)
        lanes = ["shared", QUEUE, f"shared/{QUEUE}", f"{QUEUE}/{QUEUE}", "shared/mail:other"]
        assert await broker.served(lanes) == [0.0] * 4 + [None]

    async def test_one_that_is_gone_served_them_until_its_lease_was_over(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await make_consumer(lease=0.05).claim(1)

        async def is_gone() -> bool:
            (age,) = await broker.served([QUEUE])
            return age is not None and 0 < age < 60

        await eventually(is_gone, description="the end of a consumer")

    async def test_one_that_claims_again_and_again_lives(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer(lease=0.05)
        await consumer.claim(1)

        async def is_gone() -> bool:
            return (await broker.served([QUEUE])) != [0.0]

        async def lives_after_a_claim() -> bool:
            await consumer.claim(0)
            return await broker.served([QUEUE]) == [0.0]

        await eventually(is_gone, description="the end of a consumer")
        await eventually(lives_after_a_claim, description="a claim in time for its lease")

    async def test_who_says_so_makes_the_queues_known(self, broker: Broker) -> None:
        await broker.serve(LANES, 30.0)
        assert await broker.served([*LANES, "mail:receive"]) == [0.0, 0.0, 0.0, None]
        assert await broker.queues() == [QUEUE, "other:x", "shared"]

    async def test_a_shorter_time_does_not_end_a_longer_one(self, broker: Broker) -> None:
        await broker.serve([QUEUE], 30.0)
        await broker.serve([QUEUE], 0.0)
        assert await broker.served([QUEUE]) == [0.0]


async def stats_of(broker: Broker) -> QueueStats:
    (stats,) = await broker.stats([QUEUE])
    return stats


class TestStandstill:
    async def test_an_empty_queue_waits_for_nobody(self, broker: Broker) -> None:
        stats = await stats_of(broker)
        assert (stats.served_ago, stats.unswept) == (None, None)

    async def test_a_live_consumer_is_seen(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await make_consumer("other:x").claim(1)
        assert (await stats_of(broker)).served_ago is None
        await make_consumer().claim(1)
        assert (await stats_of(broker)).served_ago == 0.0

    async def test_one_that_is_gone_was_seen_until_its_lease_was_over(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await make_consumer(lease=0.05).claim(1)

        async def is_gone() -> bool:
            return 0 < ((await stats_of(broker)).served_ago or 0) < 60

        await eventually(is_gone, description="the end of a consumer")

    @pytest.mark.parametrize("lane", ["", f"{QUEUE}/mail:other"])
    async def test_a_delayed_task_that_is_due_and_that_nobody_moves(
        self, broker: Broker, lane: str
    ) -> None:
        await publish(broker, delay=60.0)
        assert (await stats_of(broker)).unswept is None
        await publish(broker, delay=0.02, lane=lane)
        await publish(broker, queue="mail:other", eta=(await broker.time()) - 100)

        async def is_late() -> bool:
            return 0 < ((await stats_of(broker)).unswept or 0) < 60

        await eventually(is_late, description="a delayed task that is late")
        assert (await stats_of(broker)).delayed == 2
        await broker.sweep([QUEUE])
        assert (await stats_of(broker)).unswept is None

    async def test_a_task_of_a_dead_worker_that_nobody_takes_over(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent: Envelope = await publish(broker)
        assert await claim_ids(make_consumer(lease=0.05), 1) == [sent.id]

        async def is_late() -> bool:
            return 0 < ((await stats_of(broker)).unswept or 0) < 60

        await eventually(is_late, description="the end of a lease")
        await broker.sweep([QUEUE])
        assert (await stats_of(broker)).unswept is None

    async def test_a_task_that_runs_is_not_late(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        await claim_ids(make_consumer(), 1)
        assert (await stats_of(broker)).unswept is None
