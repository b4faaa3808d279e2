"""Limits that are declared again while tasks wait: the new ones hold soon."""

import pytest

from ltq.broker import Broker, Claim, Consumer
from ltq.options import Limit, Rate
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, claim_one, publish_many
from ltq.testing.conformance._support.fixtures import MakeConsumer

HOURLY = Rate(1, 3600.0)


async def begun(broker: Broker, consumer: Consumer, count: int = 1) -> None:
    """Start as many tasks as the limit allows, of more that wait."""
    await publish_many(broker, 50)
    assert len(await claim_ids(consumer, 100)) == count


def wait_of(claim: Claim) -> float:
    """How long a claim says that the next task has to wait for its limit."""
    return 0.0 if claim.deliveries else claim.start_in or 0.0


class TestChangedRate:
    @pytest.mark.parametrize(
        "rate", [Rate(10, 1.0), Rate(5, 1.0), Rate(600, 60.0), Rate(36000, 3600.0), Rate(1e6, 1.0)]
    )
    async def test_a_raised_one_holds_after_one_interval_of_it(
        self, broker: Broker, make_consumer: MakeConsumer, rate: Rate
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(HOURLY)}))
        consumer = make_consumer(limits={QUEUE: Limit(rate)})
        assert wait_of(await consumer.claim(1)) <= rate.interval
        await claim_one(broker, consumer)

    async def test_it_waits_for_as_long_as_if_it_had_held_all_the_time(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(HOURLY)}))
        consumer = make_consumer(limits={QUEUE: Limit(Rate(1, 30.0))})
        assert wait_of(await consumer.claim(1)) == pytest.approx(30.0, abs=1.0)

    @pytest.mark.parametrize("rate", [Rate(2, 60.0), Rate(1, 30.0), Rate(120, 3600.0)])
    async def test_another_unit_changes_nothing(
        self, broker: Broker, make_consumer: MakeConsumer, rate: Rate
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(Rate(1, 30.0))}))
        consumer = make_consumer(limits={QUEUE: Limit(rate)})
        assert wait_of(await consumer.claim(1)) == pytest.approx(30.0, abs=1.0)

    async def test_a_lowered_one_holds_at_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(Rate(10, 1.0))}))
        consumer = make_consumer(limits={QUEUE: Limit(Rate(1, 30.0))})
        assert wait_of(await consumer.claim(1)) == pytest.approx(30.0, abs=1.0)

    async def test_after_a_larger_burst_it_waits_for_one_burst_at_most(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(Rate(200, 1.0))}), 20)
        consumer = make_consumer(limits={QUEUE: Limit(Rate(1, 30.0))})
        assert wait_of(await consumer.claim(1)) == pytest.approx(30.0, abs=1.0)

    async def test_a_larger_burst_has_room_for_the_rest(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(HOURLY)}))
        consumer = make_consumer(limits={QUEUE: Limit(Rate(50, 1.0))})
        assert len(await claim_ids(consumer, 100)) in (4, 5)  # one in 20 ms runs out

    async def test_a_task_without_one_is_free_at_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(HOURLY)}))
        assert len(await claim_ids(make_consumer(), 100)) == 49

    async def test_old_and_new_workers_side_by_side_start_no_more_than_the_faster_rate(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(Rate(1, 60.0))}))
        old = make_consumer(limits={QUEUE: Limit(Rate(1, 60.0))})
        new = make_consumer(limits={QUEUE: Limit(Rate(1, 30.0))})
        assert await claim_ids(new, 10) == await claim_ids(old, 10) == []
        assert wait_of(await new.claim(10)) == pytest.approx(30.0, abs=1.0)
        assert wait_of(await old.claim(10)) == pytest.approx(60.0, abs=1.0)


class TestChangedMaxRunning:
    async def test_a_raised_one_holds_at_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await begun(broker, make_consumer(limits={QUEUE: Limit(running=2)}), 2)
        assert len(await claim_ids(make_consumer(limits={QUEUE: Limit(running=5)}), 10)) == 3

    async def test_a_new_one_counts_what_runs_already(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 9)
        first, second, _ = (await make_consumer().claim(3)).deliveries
        consumer = make_consumer(limits={QUEUE: Limit(running=2)})
        assert await claim_ids(consumer, 10) == []
        await broker.release(first.lease)
        assert await claim_ids(consumer, 10) == []
        await broker.requeue(second.lease, delay=30.0)
        assert len(await claim_ids(consumer, 10)) == 1
        assert len(await claim_ids(make_consumer(limits={QUEUE: Limit(running=4)}), 10)) == 2

    async def test_one_that_was_given_up_for_a_while_counts_all(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 9)
        limited = make_consumer(limits={QUEUE: Limit(running=4)})
        assert len(await claim_ids(limited, 2)) == 2
        assert len(await claim_ids(make_consumer(), 1)) == 1
        assert len(await claim_ids(limited, 9)) == 1

    async def test_a_lowered_one_waits_until_fewer_run(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 5)
        deliveries = (await make_consumer(limits={QUEUE: Limit(running=3)}).claim(10)).deliveries
        consumer = make_consumer(limits={QUEUE: Limit(running=1)})
        for delivery in deliveries:
            assert await claim_ids(consumer, 10) == []
            await broker.release(delivery.lease)
        assert len(await claim_ids(consumer, 10)) == 1
