"""A reply of PostgreSQL's is lost, the client calls again: nothing is done twice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest

from devtools.postgres_wire import PostgresReader
from devtools.proxy import Proxy
from ltq.broker import Consumer
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
from ltq.message import Delivery, Failure, Finish, Published, Receipt, Requeue
from ltq.state import Progress, Status
from tests.conformance.factories import QUEUE, make_envelope, publish_many
from tests.elapse import elapse

pytestmark = pytest.mark.slow

CALLS = 6
EVERY_CALL = range(1, CALLS + 1)
KEPT = (0, 5, 40)
"""Bytes of a reply that arrive before the connection is lost."""


@pytest.fixture
async def proxy(postgres_server: str) -> AsyncIterator[Proxy]:
    port = int(str(psycopg.conninfo.conninfo_to_dict(postgres_server)["port"]))
    async with Proxy(port, reader=PostgresReader) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy, postgres_url: str) -> AsyncIterator[PostgresBroker]:
    """The one whose replies are lost."""
    location, _, query = postgres_url.partition("?")
    database = location.rpartition("/")[2]
    url = f"postgresql://ltq@127.0.0.1:{proxy.port}/{database}?{query}"
    async with PostgresBroker(f"{url}&sslmode=disable&gssencmode=disable") as broker:
        await broker.ping()
        yield broker


@pytest.fixture
async def other(postgres_url: str) -> AsyncIterator[PostgresBroker]:
    """Another, undisturbed."""
    async with PostgresBroker(postgres_url) as broker:
        yield broker


async def counts(broker: PostgresBroker) -> tuple[int, int, int, int]:
    (stats,) = await broker.stats([QUEUE])
    return stats.pending, stats.delayed, stats.working, stats.dead


async def claim_each(consumer: Consumer, count: int) -> list[Delivery]:
    """Claim tasks one by one."""
    deliveries: list[Delivery] = []
    while len(deliveries) < count:
        deliveries += (await consumer.claim(1)).deliveries
    return deliveries


class TestSend:
    @pytest.mark.parametrize("keep", KEPT)
    @pytest.mark.parametrize(
        "options", [{}, {"fingerprint": "one", "unique_for": 60.0}, {"max_pending": 9}]
    )
    async def test_each_task_is_there_once(
        self, proxy: Proxy, broker: PostgresBroker, keep: int, options: dict[str, Any]
    ) -> None:
        unique = "fingerprint" in options
        for nth in (1, 2):
            envelopes = [make_envelope(has_new_id=True, **options) for _ in range(2)]
            proxy.drop("send", nth, keep=keep)
            answers = [(await broker.publish([one]))[0] for one in envelopes]
            assert answers[0] is (Published.DUPLICATE if unique and nth == 2 else Published.CREATED)
            assert answers[1] is (Published.DUPLICATE if unique else Published.CREATED)
        assert proxy.dropped == 2
        assert await counts(broker) == (1 if unique else 4, 0, 0, 0)

    async def test_a_bulk_is_there_once(self, proxy: Proxy, broker: PostgresBroker) -> None:
        for keep in KEPT:
            before = (await counts(broker))[0]
            proxy.drop("send", 2, keep=keep)
            envelopes = [make_envelope(has_new_id=True) for _ in range(1200)]
            assert {*await broker.publish(envelopes)} == {Published.CREATED}
            assert await counts(broker) == (before + 1200, 0, 0, 0)
        assert proxy.dropped == len(KEPT)

    async def test_one_that_ran_and_left_nothing_is_not_sent_again(
        self, proxy: Proxy, broker: PostgresBroker, other: PostgresBroker
    ) -> None:
        runs = []

        async def run() -> None:
            async with other.consumer([QUEUE]) as consumer:
                for delivery in (await consumer.claim(1)).deliveries:
                    runs.append(delivery)
                    await other.release(delivery.lease, result_ttl=0)

        proxy.drop("send", before=run)
        await broker.publish([make_envelope(result_ttl=0, has_new_id=True)])
        await run()
        assert (proxy.dropped, len(runs)) == (1, 1)

    async def test_an_id_used_before_is_sent_again(
        self, proxy: Proxy, broker: PostgresBroker, other: PostgresBroker
    ) -> None:
        """An earlier task with that id has just ended, and the first attempt is lost on its way."""
        envelope = make_envelope(result_ttl=0)
        await broker.publish([envelope])
        async with other.consumer([QUEUE]) as consumer:
            (delivery,) = await claim_each(consumer, 1)
            await other.release(delivery.lease, result_ttl=0)
        proxy.reset_all()
        assert await broker.publish([envelope]) == [Published.CREATED]
        assert await counts(broker) == (1, 0, 0, 0)


class TestClaim:
    @pytest.mark.parametrize("keep", [*KEPT, 3000])
    async def test_the_worker_knows_of_each_lease(
        self, proxy: Proxy, broker: PostgresBroker, keep: int
    ) -> None:
        for nth in EVERY_CALL:
            ids = await publish_many(broker, 2 * CALLS)
            async with broker.consumer([QUEUE]) as consumer:
                proxy.drop("claim", nth, keep=keep)
                held: list[Delivery] = []
                while len(held) < len(ids):
                    held += (await consumer.claim(2)).deliveries
            assert {delivery.lease.id for delivery in held} == {*ids}
            assert {delivery.dequeue_count for delivery in held} == {1}
            leases = [delivery.lease for delivery in held]
            assert await broker.heartbeat(leases, 60.0) == []
            assert await broker.finish(
                [Finish(lease, Status.COMPLETED, result_ttl=0) for lease in leases]
            ) == [Receipt.OK] * len(ids)
        assert proxy.dropped == CALLS

    async def test_what_is_claimed_next_is_not_taken_back(
        self, proxy: Proxy, broker: PostgresBroker
    ) -> None:
        """The tasks of a lost claim are looked for while others are claimed."""
        await publish_many(broker, 100)
        held: list[Delivery] = []
        async with broker.consumer([QUEUE], lease=60.0) as consumer:
            for number in range(200):
                if number % 3 == 0:
                    proxy.drop("claim")
                held += (await consumer.claim(1)).deliveries
        assert len(held) == len({delivery.lease.id for delivery in held}) == 100
        assert await broker.heartbeat([delivery.lease for delivery in held], 60.0) == []

    async def test_one_after_a_claim_by_the_rules_is_found(
        self, proxy: Proxy, broker: PostgresBroker
    ) -> None:
        """Their tokens are greater than those of later claims."""
        await publish_many(broker, 1)
        async with broker.consumer([QUEUE], lease=0.3) as first:
            (delivery,) = (await first.claim(1)).deliveries
        await elapse(0.4, "the lease ends: the rules decide about its task")
        async with broker.consumer([QUEUE]) as consumer:
            held = await claim_each(consumer, 1)
            assert held[0].lease.id == delivery.lease.id
            await publish_many(broker, 2)
            proxy.drop("claim")
            held += await claim_each(consumer, 2)
        assert {one.deaths for one in held} == {0, 1}
        assert len({one.lease.id for one in held}) == 3

    async def test_one_that_failed_for_good_gives_its_tasks_to_the_next(
        self, proxy: Proxy, broker: PostgresBroker
    ) -> None:
        ids = await publish_many(broker, 3)

        async def away() -> None:
            proxy.mode = "reset"
            proxy.reset_all()  # also those that are open beside it

        async with broker.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            proxy.drop("claim", before=away)
            with pytest.raises(BrokerError):
                await consumer.claim(3)
            proxy.mode = "pass"
            held: list[Delivery] = []
            while len(held) < 3:
                held += (await consumer.claim(3)).deliveries
        assert [delivery.lease.id for delivery in held] == ids
        assert {delivery.deaths for delivery in held} == {0}


class TestFinish:
    @pytest.mark.parametrize("lost", ["finish", "COMMIT"])
    async def test_each_outcome_is_recorded_once(
        self, proxy: Proxy, broker: PostgresBroker, lost: str
    ) -> None:
        """Those that leave a dead letter go by the rules, in a transaction."""
        for nth in EVERY_CALL:
            ids = await publish_many(broker, 2 * CALLS)
            before = (await counts(broker))[3]
            async with broker.consumer([QUEUE]) as consumer:
                held = await claim_each(consumer, 2 * CALLS)
            proxy.drop(lost, nth)
            for number, delivery in enumerate(held):
                failure = Failure("ValueError", "ValueError: no") if number % 2 else None
                status = Status.FAILED if failure else Status.COMPLETED
                outcome = Finish(delivery.lease, status, failure=failure, dead=bool(failure))
                assert await broker.finish([outcome]) == [Receipt.OK]
            assert await counts(broker) == (0, 0, 0, before + CALLS)
            states = await broker.states(QUEUE, ids)
            assert {state.status for state in states if state} == {
                Status.COMPLETED,
                Status.FAILED,
            }
        assert proxy.dropped == CALLS

    async def test_each_requeue_is_recorded_once(
        self, proxy: Proxy, broker: PostgresBroker
    ) -> None:
        for nth in EVERY_CALL:
            ids = await publish_many(broker, CALLS)
            async with broker.consumer([QUEUE]) as consumer:
                held = await claim_each(consumer, CALLS)
                proxy.drop("finish", nth)
                for delivery in held:
                    outcome = Requeue(delivery.lease, failed=True, front=True)
                    assert await broker.finish([outcome]) == [Receipt.OK]
                again = await claim_each(consumer, CALLS)
                assert [delivery.lease.id for delivery in again] == ids
                assert {delivery.tries for delivery in again} == {1}
                for delivery in again:
                    await broker.release(delivery.lease, result_ttl=0)
        assert proxy.dropped == CALLS


Call = Callable[[PostgresBroker, str], Awaitable[object]]

STEPS: dict[str, tuple[Call, object]] = {
    "cancel": (lambda broker, task_id: broker.cancel(QUEUE, task_id, 60.0), True),
    "promote": (lambda broker, task_id: broker.promote(QUEUE, [task_id]), 1),
}
"""By name: a call by the rules, and its answer."""


class TestRules:
    @pytest.mark.parametrize("name", STEPS)
    @pytest.mark.parametrize("lost", ["BEGIN", "SELECT", "DELETE", "INSERT", "COMMIT"])
    async def test_each_step_is_done_once(
        self, proxy: Proxy, broker: PostgresBroker, name: str, lost: str
    ) -> None:
        call, expected = STEPS[name]
        for nth in (1, 2):
            ids = await publish_many(broker, 2, delay=60.0)
            proxy.drop(lost, nth)
            assert [await call(broker, task_id) for task_id in ids] == [expected, expected]
        assert proxy.dropped == 2

    async def test_a_replay_sends_once(self, proxy: Proxy, broker: PostgresBroker) -> None:
        for nth in EVERY_CALL:
            (task_id,) = await publish_many(broker, 1)
            async with broker.consumer([QUEUE]) as consumer:
                (delivery,) = await claim_each(consumer, 1)
                failure = Failure("ValueError", "ValueError: no")
                outcome = Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)
                await broker.finish([outcome])
                proxy.drop("COMMIT")
                assert await broker.replay(QUEUE, [task_id]) == [Published.CREATED]
                assert await counts(broker) == (1, 0, 0, 0)
                (again,) = await claim_each(consumer, 1)
                await broker.release(again.lease, result_ttl=0)
            assert proxy.dropped == nth


class TestLease:
    async def test_it_stays_with_who_holds_it(self, proxy: Proxy, broker: PostgresBroker) -> None:
        for nth in EVERY_CALL:
            (task_id,) = await publish_many(broker, 1)
            async with broker.consumer([QUEUE], lease=5.0) as consumer:
                (delivery,) = await claim_each(consumer, 1)
            proxy.drop("heartbeat", nth)
            for _ in EVERY_CALL:
                assert await broker.heartbeat([delivery.lease], 5.0) == []
            proxy.drop("progress", nth)
            for number in EVERY_CALL:
                assert await broker.progress(delivery.lease, Progress(number, CALLS))
            state = await broker.state(QUEUE, task_id)
            assert (state.progress, state.dequeue_count) == (Progress(CALLS, CALLS), 1)
        assert proxy.dropped == 2 * CALLS


class TestProxy:
    async def test_calls_are_seen_by_name(self, proxy: Proxy, broker: PostgresBroker) -> None:
        await publish_many(broker, 1)
        async with broker.consumer([QUEUE]) as consumer:
            await claim_each(consumer, 1)
        assert {"send", "claim", "serve"} <= {*proxy.commands}
