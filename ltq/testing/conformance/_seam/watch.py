"""Following tasks: feeds, and `Broker.watch` on top of them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from ltq.broker import Broker
from ltq.broker.feed import Feed, FeedTimeoutError
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.message import Requeue
from ltq.state import Progress, Status, TaskState
from ltq.testing.conformance._support.eventually import SOON
from ltq.testing.conformance._support.factories import QUEUE, claim_one, lose, publish, publish_many
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

Follow = Callable[[Broker, str], Feed]


class FollowsTasks:
    """Tests with feeds that are closed after the test."""

    @pytest_asyncio.fixture(loop_scope="function")
    async def follow(self) -> AsyncIterator[Follow]:
        feeds: list[Feed] = []

        def make(broker: Broker, task_id: str) -> Feed:
            feeds.append(broker.feed(QUEUE, task_id))
            return feeds[-1]

        yield make
        for feed in feeds:
            feed.close()


async def seen(feed: Feed, status: Status) -> TaskState[bytes]:
    """Return the next state with this status. Other states may come before it, also twice."""
    while True:
        state = await feed.get(SOON)
        assert state is not None
        if state.status is status:
            return state


async def vanished(feed: Feed) -> None:
    """Wait for the news that the task does not exist any more."""
    while await feed.get(SOON) is not None:
        pass


class TestFeed(FollowsTasks):
    async def test_it_begins_with_the_present_state(self, broker: Broker, follow: Follow) -> None:
        envelope = await publish(broker)
        state = await follow(broker, envelope.id).get(SOON)
        assert state == await broker.state(QUEUE, envelope.id)

    async def test_it_shows_each_step_of_a_task(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        feed = follow(open_broker(), envelope.id)
        await seen(feed, Status.PENDING)
        consumer = make_consumer()
        delivery = await claim_one(broker, consumer)
        assert (await seen(feed, Status.WORKING)).dequeue_count == 1
        await broker.requeue(delivery.lease, delay=0.05)
        await seen(feed, Status.DELAYED)
        delivery = await claim_one(broker, consumer)
        assert (await seen(feed, Status.WORKING)).dequeue_count == 2
        await broker.release(delivery.lease, result=b"1")
        assert (await seen(feed, Status.COMPLETED)).result == b"1"

    async def test_it_shows_progress(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer())
        feed = follow(broker, envelope.id)
        await seen(feed, Status.WORKING)
        await broker.progress(delivery.lease, Progress(1.0, 2.0))
        assert (await seen(feed, Status.WORKING)).progress == Progress(1.0, 2.0)

    async def test_it_shows_a_recovery(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        feed = follow(broker, envelope.id)
        await seen(feed, Status.WORKING)
        await lose(broker, delivery)
        assert (await seen(feed, Status.PENDING)).requeue_count == 1

    async def test_it_shows_a_burial(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker, max_deliveries=1)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        feed = follow(broker, envelope.id)
        await lose(broker, delivery)
        await seen(feed, Status.REJECTED)

    async def test_it_shows_a_cancellation(self, broker: Broker, follow: Follow) -> None:
        envelope = await publish(broker)
        feed = follow(broker, envelope.id)
        await seen(feed, Status.PENDING)
        await broker.cancel(QUEUE, envelope.id, 60.0)
        await seen(feed, Status.CANCELLED)

    async def test_it_shows_a_final_state_that_was_there_before(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, make_consumer())).lease, result=b"1")
        state = await follow(broker, envelope.id).get(SOON)
        assert state is not None
        assert (state.status, state.result) == (Status.COMPLETED, b"1")

    async def test_none_means_that_there_is_no_such_task(
        self, broker: Broker, follow: Follow
    ) -> None:
        assert await follow(broker, "nobody").get(SOON) is None

    async def test_none_means_that_the_task_is_gone_without_a_result(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        feed = follow(broker, envelope.id)
        await seen(feed, Status.PENDING)
        await broker.release((await claim_one(broker, make_consumer())).lease, result_ttl=0)
        await vanished(feed)

    async def test_none_means_that_the_task_was_cleared(
        self, broker: Broker, follow: Follow
    ) -> None:
        ready, delayed = await publish(broker), await publish(broker, delay=30.0)
        feeds = [follow(broker, ready.id), follow(broker, delayed.id)]
        await seen(feeds[0], Status.PENDING)
        await seen(feeds[1], Status.DELAYED)
        await broker.clear(QUEUE)
        for feed in feeds:
            await vanished(feed)

    async def test_a_task_has_any_number_of_feeds(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        other = open_broker()
        feeds = [follow(on, envelope.id) for on in (broker, broker, other, other)]
        for feed in feeds:
            await seen(feed, Status.PENDING)
        feeds[0].close()
        feeds[2].close()
        await broker.release((await claim_one(broker, make_consumer())).lease)
        for feed in (feeds[1], feeds[3]):
            await seen(feed, Status.COMPLETED)

    async def test_a_second_feed_begins_with_the_present_state_too(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        await seen(follow(broker, envelope.id), Status.PENDING)
        await claim_one(broker, make_consumer())
        state = await follow(broker, envelope.id).get(SOON)
        assert state is not None
        assert state.status is Status.WORKING

    async def test_a_task_may_be_followed_again(self, broker: Broker, follow: Follow) -> None:
        envelope = await publish(broker)
        for _ in range(3):
            feed = follow(broker, envelope.id)
            await seen(feed, Status.PENDING)
            feed.close()
            feed.close()

    async def test_nothing_comes_when_nothing_happens(self, broker: Broker, follow: Follow) -> None:
        envelope, other = await publish_many(broker, 2)
        feed = follow(broker, envelope)
        await seen(feed, Status.PENDING)
        await broker.cancel(QUEUE, other, 60.0)
        with pytest.raises(FeedTimeoutError):
            await feed.get(0.1)

    async def test_many_tasks_are_followed_at_once(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        ids = await publish_many(broker, 50)
        feeds = [follow(broker, task_id) for task_id in ids]
        deliveries = (await make_consumer().claim(50)).deliveries
        for delivery in deliveries:
            await broker.release(delivery.lease, result=delivery.lease.id.encode())
        results = [(await seen(feed, Status.COMPLETED)).result for feed in feeds]
        assert results == [task_id.encode() for task_id in ids]


class TestWatch:
    async def test_it_yields_each_state_once_and_ends_with_the_final_one(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        statuses = []
        lease = None
        async for state in broker.watch(QUEUE, envelope.id, timeout=SOON):
            statuses.append(state.status)
            if state.status is Status.PENDING:
                lease = (await claim_one(broker, make_consumer())).lease
            elif lease is not None and not state.status.is_final:
                await broker.release(lease)
        assert statuses == [Status.PENDING, Status.WORKING, Status.COMPLETED]

    async def test_a_final_task_has_one_state(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, make_consumer())).lease)
        states = [state async for state in broker.watch(QUEUE, envelope.id)]
        assert [state.status for state in states] == [Status.COMPLETED]

    async def test_an_unknown_task_is_not_found(self, broker: Broker) -> None:
        with pytest.raises(TaskNotFoundError, match="nobody"):
            await anext(aiter(broker.watch(QUEUE, "nobody")))

    async def test_a_task_that_goes_without_a_result_is_not_found(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        watch = broker.watch(QUEUE, envelope.id, timeout=SOON)
        assert (await anext(watch)).status is Status.PENDING
        await broker.release((await claim_one(broker, make_consumer())).lease, result_ttl=0)
        with pytest.raises(TaskNotFoundError):
            async for _ in watch:
                pass

    async def test_it_waits_no_longer_than_the_timeout(self, broker: Broker) -> None:
        envelope = await publish(broker)
        watch = broker.watch(QUEUE, envelope.id, timeout=0.1)
        assert (await anext(watch)).status is Status.PENDING
        with pytest.raises(ResultTimeoutError) as caught:
            await anext(watch)
        assert (caught.value.task_id, caught.value.timeout) == (envelope.id, 0.1)

    async def test_a_failure_before_a_retry_shows(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer())
        watch = broker.watch(QUEUE, envelope.id, timeout=SOON)
        assert (await anext(watch)).status is Status.WORKING
        await broker.finish([Requeue(delivery.lease, delay=30.0)])
        assert (await anext(watch)).status is Status.DELAYED
        await asyncio.wait_for(watch.aclose(), SOON)


class TestWaitForTheEnd(FollowsTasks):
    """A reader that waits only for the end: passing states may be left out, the end may not."""

    async def test_it_gives_the_final_state_only(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        ending = asyncio.create_task(open_broker().wait(QUEUE, envelope.id, timeout=SOON))
        consumer = make_consumer()
        delivery = await claim_one(broker, consumer)
        await broker.progress(delivery.lease, Progress(1.0, 2.0))
        await broker.requeue(delivery.lease, delay=0.02)
        delivery = await claim_one(broker, consumer)
        await broker.release(delivery.lease, result=b"1")
        state = await ending
        assert (state.status, state.result) == (Status.COMPLETED, b"1")

    async def test_an_end_that_was_there_before(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        await broker.release((await claim_one(broker, make_consumer())).lease)
        assert (await broker.wait(QUEUE, envelope.id, timeout=SOON)).status is Status.COMPLETED

    async def test_a_cancellation(self, broker: Broker) -> None:
        envelope = await publish(broker)
        ending = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=SOON))
        await broker.cancel(QUEUE, envelope.id, 60.0)
        assert (await ending).status is Status.CANCELLED

    async def test_a_burial(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        envelope = await publish(broker, max_deliveries=1)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        ending = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=SOON))
        await lose(broker, delivery)
        assert (await ending).status is Status.REJECTED

    async def test_an_end_without_a_trace(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        envelope = await publish(broker)
        delivery = await claim_one(broker, make_consumer())
        ending = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=SOON))
        await broker.release(delivery.lease, result_ttl=0)
        with pytest.raises(TaskNotFoundError):
            await ending

    async def test_it_ends_at_its_timeout(self, broker: Broker) -> None:
        envelope = await publish(broker)
        with pytest.raises(ResultTimeoutError):
            await broker.wait(QUEUE, envelope.id, timeout=0.02)

    async def test_beside_a_watch_both_are_served(
        self, broker: Broker, make_consumer: MakeConsumer, follow: Follow
    ) -> None:
        envelope = await publish(broker)
        ending = asyncio.create_task(broker.wait(QUEUE, envelope.id, timeout=SOON))
        feed = follow(broker, envelope.id)
        await seen(feed, Status.PENDING)
        delivery = await claim_one(broker, make_consumer())
        await seen(feed, Status.WORKING)
        await broker.release(delivery.lease)
        await seen(feed, Status.COMPLETED)
        assert (await ending).status is Status.COMPLETED
