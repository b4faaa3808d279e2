"""Looking at queues from outside, and clearing them."""

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import TaskNotFoundError
from ltq.message import Finish, Receipt, Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


class TestQueues:
    async def test_a_new_store_has_none(self, broker: Broker) -> None:
        assert await broker.queues() == []

    async def test_they_are_known_from_the_first_task_on(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        for queue in ("mail:send", "mail:receive", "a", "other:x", "mail:send"):
            await publish(broker, queue=queue)
        names = ["a", "mail:receive", "mail:send", "other:x"]
        assert await open_broker().queues() == names
        await claim_one(broker, make_consumer())
        await broker.clear("a")
        assert await broker.queues() == names

    async def test_those_of_a_consumer_are_known_from_its_first_claim_on(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer("mail:send", "shared/mail:send", "other:x")
        assert (await consumer.claim(1)).deliveries == []
        assert await open_broker().queues() == ["mail:send", "other:x", "shared"]
        await consumer.aclose()
        assert await broker.queues() == ["mail:send", "other:x", "shared"]
        (stats,) = await broker.stats(["mail:send"])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (0, 0, 0, 0)

    async def test_a_lane_is_no_queue(self, broker: Broker) -> None:
        await publish(broker, lane=f"{QUEUE}/mail:other")
        await publish(broker, queue="shared", lane="shared/mail:send")
        assert await broker.queues() == [QUEUE, "shared"]


class TestStats:
    async def test_they_count_each_place(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish_many(broker, 6)
        await publish_many(broker, 2, delay=30.0)
        consumer = make_consumer()
        deliveries = (await consumer.claim(4)).deliveries
        await broker.release(deliveries[0].lease)
        await broker.finish([Finish(deliveries[1].lease, Status.FAILED, dead=True)])
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working, stats.dead) == (2, 2, 2, 1)
        assert stats.overdue == 0

    async def test_all_lanes_and_priorities_of_a_queue_count(self, broker: Broker) -> None:
        await publish(broker, priority=Priority.HIGH)
        await publish(broker, lane=f"{QUEUE}/mail:other", priority=Priority.LOW)
        (stats,) = await broker.stats([QUEUE])
        assert stats.pending == 2
        assert stats.by_priority == {"high": 1, "normal": 0, "low": 1}

    async def test_the_oldest_is_the_one_that_waits_longest(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        low = await publish(broker, priority=Priority.LOW)
        await publish(broker, delay=60.0)
        await publish(broker, priority=Priority.HIGH)
        state = await broker.state(QUEUE, low.id)
        before = await broker.time()
        (stats,) = await broker.stats([QUEUE])
        after = await broker.time()
        assert state.enqueue_time is not None
        assert stats.oldest is not None
        assert before - state.enqueue_time <= stats.oldest + 0.001
        assert stats.oldest <= after - state.enqueue_time + 0.001
        await consumer.claim(2)
        (none,) = await broker.stats([QUEUE])
        assert none.oldest is None

    async def test_a_task_put_back_waits_from_then_on(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        (delivery,) = (await consumer.claim(1)).deliveries
        await broker.requeue(delivery.lease)
        state = await broker.find(delivery.lease.id)
        (stats,) = await broker.stats([QUEUE])
        assert state is not None
        assert state.last_requeue_time is not None
        assert stats.oldest is not None
        assert stats.oldest <= await broker.time() - state.last_requeue_time + 0.001

    async def test_each_queue_counts_for_itself(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        queues = ["mail:b", "mail:a", "other:x", "mail:unknown"]
        for number, queue in enumerate(queues[:3], start=1):
            await publish_many(broker, number, queue=queue)
        await claim_one(broker, make_consumer("mail:a"))
        stats = await broker.stats(queues)
        assert [each.queue for each in stats] == queues
        assert [(each.pending, each.working) for each in stats] == [(1, 0), (1, 1), (3, 0), (0, 0)]

    async def test_no_queues_is_no_error(self, broker: Broker) -> None:
        assert await broker.stats([]) == []


class TestLooking:
    async def test_a_delayed_task_says_when_it_is_due(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish(broker, delay=30.0)
        state = await broker.state(QUEUE, sent.id)
        assert state.due_time is not None
        assert state.enqueue_time is not None
        assert state.due_time == pytest.approx(state.enqueue_time + 30, abs=0.1)
        assert (await broker.find(sent.id)) == state
        other = await publish(broker, queue="mail:other", lane="mail:other/x", delay=60.0)
        in_a_lane = await broker.state("mail:other", other.id)
        assert in_a_lane.due_time == pytest.approx(state.due_time + 30, abs=1.0)

    async def test_any_other_task_has_no_due_time(self, broker: Broker, consumer: Consumer) -> None:
        sent = await publish(broker)
        assert (await broker.state(QUEUE, sent.id)).due_time is None
        (delivery,) = (await consumer.claim(1)).deliveries
        assert (await broker.state(QUEUE, sent.id)).due_time is None
        await broker.requeue(delivery.lease, delay=20.0)
        due = (await broker.state(QUEUE, sent.id)).due_time
        assert due == pytest.approx(await broker.time() + 20, abs=1.0)
        await broker.cancel(QUEUE, sent.id, 60.0)
        assert (await broker.state(QUEUE, sent.id)).due_time is None

    async def test_the_arguments_of_a_task_that_has_not_ended(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        body = b'[["a/b"],{"depth":2}]'
        waiting = await publish(broker, body=body, delay=60.0)
        assert await broker.body(QUEUE, waiting.id) == body
        ended = await publish(broker, body=body)
        assert await broker.body(QUEUE, ended.id) == body
        (delivery,) = (await consumer.claim(1)).deliveries
        assert await broker.body(QUEUE, ended.id) == body
        await broker.release(delivery.lease)
        assert await broker.body(QUEUE, ended.id) is None
        assert await broker.body(QUEUE, "no-such-id") is None
        assert await broker.body("other:queue", waiting.id) is None


class TestThroughput:
    """Tasks per second, over the last 50 to 60 seconds."""

    async def end(self, broker: Broker, consumer: Consumer, *statuses: Status) -> None:
        deliveries = (await consumer.claim(len(statuses))).deliveries
        leases = [delivery.lease for delivery in deliveries]
        pairs = zip(leases, statuses, strict=True)
        await broker.finish([Finish(lease, status, dead=True) for lease, status in pairs])

    async def rates(self, broker: Broker, *queues: str) -> list[float]:
        return [stats.rate for stats in await broker.stats(queues)]

    async def test_it_is_none_where_nothing_has_ended(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        assert await self.rates(broker, QUEUE) == [0.0]
        await publish_many(broker, 2)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.finish([Requeue(lease, delay=30.0, failed=True)]) == [Receipt.OK]
        assert await self.rates(broker, QUEUE) == [0.0]

    async def test_it_counts_tasks_however_they_ended(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 60)
        statuses = [Status.COMPLETED, Status.FAILED, Status.REJECTED]
        for status in statuses:
            await self.end(broker, consumer, *[status] * 20)
        (rate,) = await self.rates(broker, QUEUE)
        assert 60 / 60 <= rate <= 60 / 50

    async def test_each_is_counted_once(self, broker: Broker, consumer: Consumer) -> None:
        await publish_many(broker, 60)
        leases = [delivery.lease for delivery in (await consumer.claim(60)).deliveries]
        outcomes = [Finish(lease, Status.COMPLETED, result_ttl=0.0) for lease in leases]
        for _ in range(2):
            assert await broker.finish([*outcomes, outcomes[0]]) == [Receipt.OK] * 61
        (rate,) = await self.rates(broker, QUEUE)
        assert rate <= 60 / 50

    async def test_a_cancelled_task_is_not_counted(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        await broker.cancel(QUEUE, lease.id, 60.0)
        assert await broker.finish([Finish(lease, Status.COMPLETED)]) == [Receipt.CANCELLED]
        assert await self.rates(broker, QUEUE) == [0.0]

    async def test_each_queue_counts_for_itself(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        queues = ["mail:a", "mail:b", "mail:c"]
        for queue, count in zip(queues, (6, 60, 1), strict=True):
            await publish_many(broker, count, queue=queue)
        consumer = make_consumer("mail:a", "mail:b")
        await self.end(broker, consumer, *[Status.COMPLETED] * 66)
        slow, quick, none = await self.rates(broker, *queues)
        assert quick == pytest.approx(10 * slow, rel=0.01)
        assert none == 0.0


class TestStates:
    async def test_they_are_in_the_order_of_the_ids(self, broker: Broker) -> None:
        first, second = await publish_many(broker, 2)
        states = await broker.states(QUEUE, [second, "nobody", first, second])
        assert [state and state.id for state in states] == [second, None, first, second]

    async def test_no_ids_is_no_error(self, broker: Broker) -> None:
        assert await broker.states(QUEUE, []) == []

    async def test_one_unknown_task_is_not_found(self, broker: Broker) -> None:
        with pytest.raises(TaskNotFoundError):
            await broker.state(QUEUE, "nobody")

    async def test_a_task_is_found_from_any_queue_of_its_namespace(self, broker: Broker) -> None:
        envelope = await publish(broker)
        assert (await broker.state("mail:other", envelope.id)).queue == QUEUE


class TestFind:
    async def test_it_needs_no_queue(self, broker: Broker) -> None:
        await publish(broker, queue="a:x")
        envelope = await publish(broker, queue="b:y")
        state = await broker.find(envelope.id)
        assert state == await broker.state("b:y", envelope.id)

    async def test_an_unknown_id_is_not_found(self, broker: Broker) -> None:
        assert await broker.find("nobody") is None
        await publish(broker)
        assert await broker.find("nobody") is None


class TestClear:
    async def test_waiting_tasks_go_for_good(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ready = await publish(broker)
        low = await publish(broker, priority=Priority.LOW)
        lane = f"{QUEUE}/mail:other"
        laned = await publish(broker, lane=lane)
        delayed = await publish(broker, delay=30.0)
        assert await broker.clear(QUEUE) == 4
        ids = [ready.id, low.id, laned.id, delayed.id]
        assert await broker.states(QUEUE, ids) == [None] * 4
        claim = await make_consumer(QUEUE, lane).claim(10)
        assert (claim.deliveries, claim.due_in) == ([], None)
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed) == (0, 0)

    async def test_working_and_final_tasks_stay(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        done, working = await publish_many(broker, 2)
        await broker.release((await claim_one(broker, consumer)).lease)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.clear(QUEUE) == 0
        states = await broker.states(QUEUE, [done, working])
        assert [state and state.status for state in states] == [Status.COMPLETED, Status.WORKING]
        assert await broker.release(lease) is Receipt.OK

    async def test_other_queues_stay(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish(broker)
        longer = await publish(broker, queue=f"{QUEUE}er")
        delayed = await publish(broker, queue="mail:other", delay=30.0)
        assert await broker.clear(QUEUE) == 1
        assert await claim_ids(make_consumer(f"{QUEUE}er"), 10) == [longer.id]
        assert (await broker.state("mail:other", delayed.id)).status is Status.DELAYED

    async def test_a_large_queue_is_cleared_completely(self, broker: Broker) -> None:
        await publish_many(broker, 600)
        await publish_many(broker, 600, delay=30.0)
        assert await broker.clear(QUEUE) == 1200
        assert await broker.clear(QUEUE) == 0

    async def test_the_queue_may_be_used_again(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await broker.clear(QUEUE)
        assert await broker.publish([envelope]) == ["created"]
        assert await claim_ids(make_consumer(), 10) == [envelope.id]
