"""A task that workers died under is isolated, so that its neighbours do not die with it."""

import pytest

from ltq import Status
from ltq.broker import Broker, Consumer, isolation_of
from ltq.message import Finish
from ltq.options import DEFAULT_MAX_DELIVERIES
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    lose_all,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

SHORT = 0.02
"""Seconds of a lease that should end soon."""


class TestIsolationRule:
    def test_who_never_killed_may_run_with_any_number(self) -> None:
        assert isolation_of(0) is None
        assert isolation_of(0, 1) is None

    def test_it_grows_smaller_with_each_death(self) -> None:
        assert [isolation_of(deaths) for deaths in (1, 2, 3, 4)] == [1000, 100, 10, 1]
        assert [isolation_of(deaths, 3) for deaths in (1, 2)] == [10, 1]
        assert isolation_of(1, 2) == 1

    def test_it_is_never_nobody(self) -> None:
        assert isolation_of(DEFAULT_MAX_DELIVERIES + 3) == 1


class TestIsolation:
    async def test_a_new_task_joins_any_number(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 20)
        claim = await consumer.claim(20, 1000)
        assert [delivery.lease.id for delivery in claim.deliveries] == ids
        assert {delivery.isolation for delivery in claim.deliveries} == {None}
        assert claim.isolation is None

    async def test_before_the_death_that_would_bury_it_it_runs_alone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 2, max_deliveries=2)
        await lose_all(broker, make_consumer(lease=SHORT), ids)
        consumer = make_consumer()
        claim = await consumer.claim(10, 1)
        assert (claim.deliveries, claim.isolation) == ([], 1)
        (one,) = (await consumer.claim(10)).deliveries
        (other,) = (await consumer.claim(10)).deliveries
        assert {one.lease.id, other.lease.id} == set(ids)
        assert one.isolation == other.isolation == 1

    async def test_before_that_it_runs_among_ten(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 12, max_deliveries=3)
        await lose_all(broker, make_consumer(lease=SHORT), ids)
        consumer = make_consumer()
        assert len((await consumer.claim(20, 7)).deliveries) == 3
        claim = await consumer.claim(20, 10)
        assert (claim.deliveries, claim.isolation) == ([], 10)
        assert len((await consumer.claim(20)).deliveries) == 9

    async def test_new_ones_join_it_only_so_far(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=3)
        await lose_all(broker, make_consumer(lease=SHORT), [old.id])
        new = await publish_many(broker, 20)
        assert await claim_ids(make_consumer(), 20) == [old.id, *new[:9]]

    async def test_what_is_not_given_stays_where_it_was(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=2)
        await lose_all(broker, make_consumer(lease=SHORT), [old.id])
        new = await publish_many(broker, 3)
        consumer = make_consumer()
        assert (await consumer.claim(10, 5)).deliveries == []
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.working) == (4, 0)
        assert await claim_ids(consumer, 10) == [old.id]
        assert await claim_ids(consumer, 10) == new

    async def test_one_that_waits_for_it_holds_up_its_own_lane_only(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=2)
        await lose_all(broker, make_consumer(lease=SHORT), [old.id])
        other = await publish(broker, queue="mail:other", task_name="mail:other")
        claim = await make_consumer(QUEUE, "mail:other").claim(10, 5)
        assert [delivery.lease.id for delivery in claim.deliveries] == [other.id]
        assert claim.isolation == 1

    @pytest.mark.parametrize(("running", "given"), [(2, 8), (0, 10), (None, 20)])
    async def test_what_comes_from_other_namespaces_keeps_to_it(
        self, running: int | None, given: int, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=3)
        await lose_all(broker, make_consumer(lease=SHORT), [old.id])
        await publish_many(broker, 40, queue="bank:pay", task_name="bank:pay")
        consumer = make_consumer(QUEUE, "bank:pay")
        ignored = running is None
        claims = [
            (await consumer.claim(20, running or 0, ignore_isolation=ignored)).deliveries
            for _ in range(2)
        ]
        (with_old,) = [given for given in claims if old.id in {one.lease.id for one in given}]
        assert len(with_old) == given

    async def test_replayed_it_begins_anew(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, max_deliveries=2)
        await lose_all(broker, make_consumer(lease=SHORT), [task.id])
        (delivery,) = (await make_consumer().claim(1)).deliveries
        await broker.finish([Finish(delivery.lease, Status.FAILED, dead=True)])
        await broker.replay(QUEUE, [task.id])
        (delivery,) = (await make_consumer().claim(1, 50)).deliveries
        assert (delivery.deaths, delivery.isolation) == (0, None)
