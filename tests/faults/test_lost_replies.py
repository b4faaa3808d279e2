"""A reply is lost, the client calls again: nothing is done twice, nothing belongs to nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
import redis

from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq.broker import Consumer
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.message import Delivery, Failure, Finish, Published, Receipt, Requeue
from ltq.state import Progress, Status
from tests.conformance.factories import QUEUE, make_envelope, publish_many

NAMESPACE = "mail"
CALLS = 20
EVERY_CALL = range(1, CALLS + 1)


@pytest.fixture(scope="module")
def calm_server(redis_executable: str) -> Any:
    """One server for all: nothing is done to it but FLUSHALL."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture
def client(calm_server: RedisServer) -> Any:
    """Looks straight at what is there."""
    with redis.Redis.from_url(calm_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def proxy(calm_server: RedisServer) -> AsyncIterator[Proxy]:
    async with Proxy(calm_server.port) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy) -> AsyncIterator[RedisBroker]:
    """The one whose replies are lost."""
    async with RedisBroker(proxy.url) as broker:
        yield broker


@pytest.fixture
async def other(calm_server: RedisServer) -> AsyncIterator[RedisBroker]:
    """Another, undisturbed."""
    async with RedisBroker(calm_server.url) as broker:
        yield broker


def empty(client: Any) -> None:
    """Begin anew; the server forgets the scripts as well, so the first call is made twice."""
    client.flushall()
    client.script_flush()


async def counts(broker: RedisBroker) -> tuple[int, int, int, int]:
    (stats,) = await broker.stats([QUEUE])
    return stats.pending, stats.delayed, stats.working, stats.dead


async def claim_each(consumer: Consumer, count: int) -> list[Delivery]:
    """Claim tasks one by one."""
    deliveries: list[Delivery] = []
    for _ in range(count):
        deliveries += (await consumer.claim(1)).deliveries
    return deliveries


class TestSend:
    async def test_each_task_is_enqueued_once(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            proxy.drop("send", nth)
            envelopes = [make_envelope() for _ in range(CALLS)]
            answers = [(await broker.publish([envelope]))[0] for envelope in envelopes]
            assert proxy.dropped == nth
            assert answers.count(Published.EXISTS) <= 1
            assert Published.FULL not in answers
            ready = client.lrange(keys.ready(NAMESPACE, QUEUE, 1), 0, -1)
            assert ready == [envelope.id for envelope in envelopes]

    async def test_a_bulk_is_enqueued_once(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for keep in (0, 1, 2, 100, 4096):
            empty(client)
            proxy.drop("send", 2, keep=keep)
            await publish_many_anyhow(broker, 2000)
            assert await counts(broker) == (2000, 0, 0, 0)
            assert len(set(client.lrange(keys.ready(NAMESPACE, QUEUE, 1), 0, -1))) == 2000

    async def test_a_full_queue_counts_none_twice(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        empty(client)
        await broker.publish([make_envelope(queue="mail:other")])  # the script is known now
        for expected in (Published.EXISTS, Published.EXISTS, Published.FULL):
            proxy.drop("send")
            assert await broker.publish([make_envelope(max_pending=2)]) == [expected]
        assert proxy.dropped == 3
        assert await counts(broker) == (2, 0, 0, 0)

    async def test_a_task_that_ran_and_left_no_result_is_not_sent_again(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        empty(client)
        await broker.publish([make_envelope(queue="mail:other")])  # the script is known now
        runs = []

        async def run() -> None:
            async with other.consumer([QUEUE]) as consumer:
                for delivery in (await consumer.claim(1)).deliveries:
                    runs.append(delivery)
                    await other.release(delivery.lease, result_ttl=0)

        proxy.drop("send", before=run)
        await broker.publish([make_envelope(result_ttl=0, has_new_id=True)])
        await run()
        assert proxy.dropped == 1
        assert len(runs) == 1

    async def test_an_id_used_before_is_sent_again(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        """An earlier task with that id has just ended, and the first attempt is lost on its way."""
        empty(client)
        envelope = make_envelope(result_ttl=0)
        await broker.publish([envelope])
        async with other.consumer([QUEUE]) as consumer:
            await other.release((await consumer.claim(1)).deliveries[0].lease, result_ttl=0)
        proxy.reset_all()
        assert await broker.publish([envelope]) == [Published.CREATED]
        assert await counts(broker) == (1, 0, 0, 0)


class TestCancel:
    @pytest.mark.parametrize("result_ttl", [60.0, 0.0])
    async def test_it_says_that_it_did(
        self, proxy: Proxy, broker: RedisBroker, client: Any, result_ttl: float
    ) -> None:
        for nth in (1, 2):
            empty(client)
            ids = await publish_many(broker, 2)
            proxy.drop("cancel", nth)
            assert [await broker.cancel(QUEUE, task_id, result_ttl) for task_id in ids] == [
                True
            ] * 2

    async def test_of_a_completed_task_it_says_that_it_did_not(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        empty(client)
        (task_id,) = await publish_many(broker, 1)
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries
        await broker.release(delivery.lease, result_ttl=0)
        proxy.reset_all()
        with pytest.raises(TaskNotFoundError):
            await broker.cancel(QUEUE, task_id, 60.0)


class TestPromote:
    async def test_it_counts_the_same_tasks(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in (1, 2):
            empty(client)
            ids = await publish_many(broker, 2, delay=60.0)
            proxy.drop("promote", nth)
            assert [await broker.promote(QUEUE, [task_id]) for task_id in ids] == [1, 1]
            assert await counts(broker) == (2, 0, 0, 0)


async def publish_many_anyhow(broker: RedisBroker, count: int) -> None:
    envelopes = [make_envelope() for _ in range(count)]
    assert Published.FULL not in await broker.publish(envelopes)


class TestClaim:
    async def test_the_worker_knows_of_each_lease(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            ids = await publish_many(broker, 2 * CALLS)
            proxy.drop("claim", nth)
            held: list[Delivery] = []
            async with broker.consumer([QUEUE]) as consumer:
                for _ in range(CALLS):
                    held += (await consumer.claim(2)).deliveries
            assert proxy.dropped == nth
            assert [delivery.lease.id for delivery in held] == ids
            assert {delivery.dequeue_count for delivery in held} == {1}
            check_leases(client, held)
            assert await counts(broker) == (0, 0, 2 * CALLS, 0)

    async def test_a_reply_cut_anywhere_is_claimed_again(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for keep in (1, 5, 17, 64, 200, 1000, 3000):
            empty(client)
            ids = await publish_many(broker, 50)
            async with broker.consumer([QUEUE]) as consumer:
                await consumer.claim(0)
                proxy.drop("claim", keep=keep)
                held: list[Delivery] = []
                while len(held) < len(ids):  # after lost replies, claims give less
                    claimed = (await consumer.claim(50)).deliveries
                    assert claimed
                    held += claimed
            assert [delivery.lease.id for delivery in held] == ids
            assert {delivery.dequeue_count for delivery in held} == {1}
            check_leases(client, held)

    @pytest.mark.slow
    async def test_one_that_failed_for_good_gives_its_tasks_to_the_next(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        empty(client)
        ids = await publish_many(broker, 3)

        async def away() -> None:
            proxy.mode = "reset"

        async with broker.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            proxy.drop("claim", before=away)
            with pytest.raises(BrokerError):
                await consumer.claim(3)
            proxy.mode = "pass"
            held = (await consumer.claim(3)).deliveries
        assert [delivery.lease.id for delivery in held] == ids
        check_leases(client, held)

    async def test_a_task_cancelled_meanwhile_is_not_given(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        empty(client)
        first, second = await publish_many(broker, 2)

        async def cancel() -> None:
            await other.cancel(QUEUE, first, 60.0)

        async with broker.consumer([QUEUE]) as consumer:
            await consumer.claim(0)
            proxy.drop("claim", before=cancel)
            held = (await consumer.claim(2)).deliveries
        assert [delivery.lease.id for delivery in held] == [second]
        check_leases(client, held)

    async def test_a_lost_wake_up_delays_nothing(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        empty(client)
        async with broker.consumer([QUEUE]) as consumer:
            for nth in EVERY_CALL:
                proxy.drop("BZPOPMIN")
                await publish_many(other, 1)
                # The first one that is lost only ends the wait: the claim tells of the server.
                with nullcontext() if nth == 1 else pytest.raises(BrokerError):
                    async with asyncio.timeout(4.0):
                        await consumer.wait(5.0)
                assert len((await consumer.claim(1)).deliveries) == 1
                assert proxy.dropped == nth


def check_leases(client: Any, held: list[Delivery]) -> None:
    """What is leased is just what is held, under the same tokens."""
    leased = set(client.zrange(keys.leases(NAMESPACE, QUEUE), 0, -1))
    assert leased == {delivery.lease.id for delivery in held}
    for delivery in held:
        token = client.hget(keys.task(NAMESPACE, delivery.lease.id), "token")
        assert int(token) == delivery.lease.token


class TestFinish:
    async def test_each_outcome_is_recorded_once(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            ids = await publish_many(broker, CALLS)
            async with broker.consumer([QUEUE]) as consumer:
                held = await claim_each(consumer, CALLS)
            proxy.drop("finish", nth)
            for number, delivery in enumerate(held):
                failure = Failure("ValueError", "ValueError: no") if number % 2 else None
                status = Status.FAILED if failure else Status.COMPLETED
                outcome = Finish(delivery.lease, status, failure=failure, dead=bool(failure))
                assert await broker.finish([outcome]) == [Receipt.OK]
            assert proxy.dropped == nth
            assert await counts(broker) == (0, 0, 0, CALLS // 2)
            states = await broker.states(QUEUE, ids)
            assert [state and state.status for state in states] == [
                Status.COMPLETED,
                Status.FAILED,
            ] * (CALLS // 2)

    async def test_each_requeue_is_recorded_once(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            ids = await publish_many(broker, CALLS)
            async with broker.consumer([QUEUE]) as consumer:
                held = await claim_each(consumer, CALLS)
            proxy.drop("finish", nth)
            for delivery in held:
                outcome = Requeue(delivery.lease, failed=True, front=True)
                assert await broker.finish([outcome]) == [Receipt.OK]
            assert proxy.dropped == nth
            assert client.lrange(keys.ready(NAMESPACE, QUEUE, 1), 0, -1) == ids
            for state in await broker.states(QUEUE, ids):
                assert state is not None
                assert state.requeue_count == 1
                assert client.hget(keys.task(NAMESPACE, state.id), "tries") == "1"

    async def test_a_repeated_requeue_leaves_the_next_run_alone(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        await self._requeue_while_another_claims(proxy, broker, other, client)
        assert await counts(broker) == (0, 0, 1, 0)

    async def test_a_repeated_requeue_is_told_that_it_was_recorded(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> None:
        receipt = await self._requeue_while_another_claims(proxy, broker, other, client)
        assert receipt is Receipt.OK

    async def _requeue_while_another_claims(
        self, proxy: Proxy, broker: RedisBroker, other: RedisBroker, client: Any
    ) -> Receipt:
        empty(client)
        await publish_many(broker, 1)
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries

        async def claim() -> None:
            async with other.consumer([QUEUE]) as consumer:
                await consumer.claim(1)

        proxy.drop("finish", 2, before=claim)  # the first is told that the script is unknown
        (receipt,) = await broker.finish([Requeue(delivery.lease)])
        assert proxy.dropped == 1
        return receipt

    async def test_a_repeated_end_that_keeps_no_result_is_told_that_it_was_recorded(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        empty(client)
        await publish_many(broker, 1)
        async with broker.consumer([QUEUE]) as consumer:
            (delivery,) = (await consumer.claim(1)).deliveries
        proxy.drop("finish", 2)
        assert await broker.release(delivery.lease, result_ttl=0) is Receipt.OK


class TestHeartbeat:
    async def test_leases_stay_with_who_holds_them(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            await publish_many(broker, 3)
            async with broker.consumer([QUEUE], lease=5.0) as consumer:
                held = (await consumer.claim(3)).deliveries
            before = client.zrange(keys.leases(NAMESPACE, QUEUE), 0, -1, withscores=True)
            proxy.drop("heartbeat", nth)
            leases = [delivery.lease for delivery in held]
            for _ in range(CALLS):
                assert await broker.heartbeat(leases, 5.0) == []
            assert proxy.dropped == nth
            check_leases(client, held)
            after = dict(client.zrange(keys.leases(NAMESPACE, QUEUE), 0, -1, withscores=True))
            assert all(after[task_id] > end for task_id, end in before)


class TestProgress:
    async def test_it_is_shown_and_nothing_else_changes(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            (task_id,) = await publish_many(broker, 1)
            async with broker.consumer([QUEUE]) as consumer:
                held = (await consumer.claim(1)).deliveries
            proxy.drop("progress", nth)
            for number in EVERY_CALL:
                assert await broker.progress(held[0].lease, Progress(number, CALLS))
            assert proxy.dropped == nth
            check_leases(client, held)
            state = await broker.state(QUEUE, task_id)
            assert state.progress == Progress(CALLS, CALLS)
            assert state.dequeue_count == 1


class TestAppend:
    async def test_each_item_is_there_once(
        self, proxy: Proxy, broker: RedisBroker, client: Any
    ) -> None:
        for nth in EVERY_CALL:
            empty(client)
            (task_id,) = await publish_many(broker, 1)
            async with broker.consumer([QUEUE]) as consumer:
                held = (await consumer.claim(1)).deliveries
            proxy.drop("append", nth)
            items = [b"%d" % number for number in range(2 * CALLS)]
            for first in range(0, len(items), 2):
                assert await broker.append(held[0].lease, first, items[first : first + 2], 100)
            assert proxy.dropped == nth
            check_leases(client, held)
            found = await broker.items(QUEUE, task_id)
            assert found is not None
            assert (found.items, found.total) == (tuple(items), len(items))
