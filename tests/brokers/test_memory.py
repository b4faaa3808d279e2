"""What the memory broker alone has: stores by name, threads, loops, clocks, and its bounds."""

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from ltq.broker import Broker
from ltq.brokers._rules import dead_letters
from ltq.brokers._rules.sweep import MOST_SWEPT
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.memory._timer_heap import SLACK
from ltq.errors import ConfigurationError
from ltq.message import Finish, Published, Requeue
from ltq.names import new_id
from ltq.options import Limit, Rate
from ltq.state import Status
from tests.conformance.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    make_envelope,
    publish,
    publish_many,
)
from tests.worker.doubles import turns

T = TypeVar("T")


async def started(waiting: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start something that waits, and let it come to where it waits: some turns of the loop."""
    task = asyncio.create_task(waiting)
    await turns()
    return task


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def places_of(broker: MemoryBroker) -> Any:
    """The memory broker's own places in the namespace of `mail:send`."""
    return broker._store._places("mail")


@pytest.fixture
def url() -> str:
    return f"memory://{new_id()}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(url: str, clock: FakeClock) -> MemoryBroker:
    """One that goes by `clock`."""
    return MemoryBroker(url, clock=clock)


class TestUrl:
    async def test_brokers_of_one_url_share_their_tasks(self, url: str) -> None:
        envelope = await publish(MemoryBroker(url))
        assert (await Broker.from_url(url).state(QUEUE, envelope.id)).id == envelope.id
        assert (await MemoryBroker(url).clone().state(QUEUE, envelope.id)).id == envelope.id

    async def test_brokers_of_other_urls_do_not(self, url: str) -> None:
        envelope = await publish(MemoryBroker(url))
        assert await MemoryBroker(f"{url}-other").find(envelope.id) is None

    async def test_no_name_is_a_name(self) -> None:
        envelope = await publish(MemoryBroker("memory://"))
        assert await Broker.from_url("MEMORY://").find(envelope.id) is not None
        await MemoryBroker("memory://").clear(QUEUE)

    async def test_closing_drops_nothing(self, url: str) -> None:
        async with MemoryBroker(url) as broker:
            envelope = await publish(broker)
        del broker
        gc.collect()
        assert await MemoryBroker(url).find(envelope.id) is not None

    def test_it_says_where_it_is(self, url: str) -> None:
        broker = MemoryBroker(url)
        assert (broker.url, broker.is_local) == (url, True)
        assert MemoryBroker("memory://").url == "memory://"

    def test_that_leads_there_again(self, url: str) -> None:
        without_list = MemoryBroker(f"{url}?list_final=0").url
        assert without_list != url
        assert MemoryBroker(without_list).url == without_list

    async def test_a_clone_lists_no_final_tasks_either(self, url: str) -> None:
        async with MemoryBroker(f"{url}?list_final=0") as broker, broker.clone() as clone:
            await broker.cancel(QUEUE, (await publish(broker)).id, 60.0)
            for one in (broker, clone, MemoryBroker(broker.url)):
                assert (await one.tasks(QUEUE)).items == ()
        assert len((await MemoryBroker(url).tasks(QUEUE)).items) == 1

    @pytest.mark.parametrize("url", ["memory://a/b", "memory://ä", "memory:", "redis://x", ""])
    def test_a_wrong_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            MemoryBroker(url)


class TestClock:
    async def test_all_times_are_the_clocks(self, broker: MemoryBroker, clock: FakeClock) -> None:
        envelope = await publish(broker, delay=50.0)
        consumer = broker.consumer([QUEUE])
        assert (await consumer.claim(1)).due_in == 50.0
        clock.now += 49.5
        assert (await consumer.claim(1)).due_in == 0.5
        clock.now += 0.5
        lease = (await consumer.claim(1)).deliveries[0].lease
        clock.now += 1.0
        await broker.release(lease, result_ttl=10.0)
        state = await broker.state(QUEUE, envelope.id)
        assert (state.enqueue_time, state.last_requeue_time) == (1000.0, 1050.0)
        assert (state.last_dequeue_time, state.release_time) == (1050.0, 1051.0)
        clock.now += 10.0
        assert await broker.find(envelope.id) is None

    async def test_an_eta_is_the_clocks(self, broker: MemoryBroker, clock: FakeClock) -> None:
        await publish(broker, eta=clock.now + 5.0)
        assert (await broker.consumer([QUEUE]).claim(1)).due_in == 5.0

    async def test_a_token_grows_even_when_the_clock_goes_back(
        self, broker: MemoryBroker, clock: FakeClock
    ) -> None:
        await publish(broker)
        consumer = broker.consumer([QUEUE])
        first = (await claim_one(broker, consumer)).lease
        await broker.requeue(first)
        clock.now -= 500.0
        second = (await claim_one(broker, consumer)).lease
        assert (first.token, second.token) == (1_000_000_000, 1_000_000_001)

    async def test_rate_limits_go_by_it(self, broker: MemoryBroker, clock: FakeClock) -> None:
        ids = await publish_many(broker, 4)
        consumer = broker.consumer([QUEUE], limits={QUEUE: Limit(Rate(20, 1.0))})  # 2 at once
        assert await claim_ids(consumer, 10) == ids[:2]
        clock.now += 0.0625
        assert await claim_ids(consumer, 10) == ids[2:3]
        assert (await consumer.claim(10)).due_in == pytest.approx(0.0375)

    async def test_a_later_broker_takes_the_clock_of_the_first(
        self, url: str, broker: MemoryBroker, clock: FakeClock
    ) -> None:
        for other in (MemoryBroker(url), MemoryBroker(url, clock=clock), broker.clone()):
            envelope = await publish(other)
            assert (await broker.state(QUEUE, envelope.id)).enqueue_time == 1000.0

    def test_a_later_broker_cannot_bring_another_clock(self, url: str) -> None:
        MemoryBroker(url)
        with pytest.raises(ConfigurationError, match="clock"):
            MemoryBroker(url, clock=FakeClock())


class TestThreads:
    def test_loops_in_several_threads_share_the_work(self, url: str) -> None:
        start = threading.Barrier(4)

        async def send() -> list[str]:
            broker = MemoryBroker(url)
            start.wait(5.0)
            return [task_id for _ in range(10) for task_id in await publish_many(broker, 10)]

        async def work() -> list[str]:
            broker, done = MemoryBroker(url), list[str]()
            async with broker.consumer([QUEUE]) as consumer:
                start.wait(5.0)
                while deliveries := await broker.claim(consumer, 7, timeout=0.3):
                    done += [delivery.lease.id for delivery in deliveries]
                    await broker.finish(
                        [Finish(delivery.lease, Status.COMPLETED) for delivery in deliveries]
                    )
            return done

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(asyncio.run, job()) for job in (send, send, work, work)]
            sent, sent_too, done, done_too = (job.result(10.0) for job in jobs)
        assert Counter(done + done_too) == Counter(sent + sent_too)

    def test_a_consumer_is_woken_from_another_thread(self, url: str) -> None:
        broker, ready = MemoryBroker(url), threading.Event()

        async def work() -> str:
            async with broker.consumer([QUEUE]) as consumer:
                waiting = await started(consumer.wait(10.0))
                ready.set()
                assert await waiting
                return (await claim_one(broker, consumer)).lease.id

        with ThreadPoolExecutor(1) as pool:
            claimed = pool.submit(asyncio.run, work())
            assert ready.wait(5.0)
            sent = asyncio.run(publish(broker))
            assert claimed.result(5.0) == sent.id

    def test_a_watcher_and_a_holder_hear_of_a_cancellation_in_their_loops(self, url: str) -> None:
        broker, ready = MemoryBroker(url), threading.Event()
        sent = asyncio.run(publish(broker))

        async def work() -> list[str]:
            revoked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            async with broker.consumer([QUEUE], revoked=revoked.set_result) as consumer:
                await claim_one(broker, consumer)
                watch = broker.watch(QUEUE, sent.id, timeout=5.0)
                statuses = [(await anext(watch)).status]
                ready.set()
                statuses += [state.status async for state in watch]
                return [await asyncio.wait_for(revoked, 5.0), *statuses]

        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(asyncio.run, work())
            assert ready.wait(5.0)
            assert asyncio.run(broker.cancel(QUEUE, sent.id, 60.0))
            assert heard.result(5.0) == [sent.id, Status.WORKING, Status.CANCELLED]

    def test_loops_that_are_closed_do_no_harm(self, url: str) -> None:
        broker = MemoryBroker(url)

        async def leave_all_open() -> str:
            envelope = await publish(broker)
            broker.feed(QUEUE, envelope.id)
            consumer = broker.consumer([QUEUE, "mail:other"], revoked=print)
            await claim_one(broker, consumer)
            return envelope.id

        task_id = asyncio.run(leave_all_open())
        assert asyncio.run(broker.cancel(QUEUE, task_id, 60.0))
        asyncio.run(publish(broker, queue="mail:other"))


class TestFairness:
    async def test_a_loop_of_calls_starves_nobody(self, url: str) -> None:
        broker, turns = MemoryBroker(url), 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(turn)

        turn()
        await publish_many(broker, 10)
        async with broker.consumer([QUEUE]) as consumer:
            for _ in range(10):
                await claim_ids(consumer, 1)
        assert turns >= 10

    async def test_a_call_that_is_cancelled_has_done_nothing(self, url: str) -> None:
        broker = MemoryBroker(url)
        await publish(broker)
        async with broker.consumer([QUEUE]) as consumer:
            claiming = asyncio.create_task(consumer.claim(1))
            claiming.cancel()
            await asyncio.wait([claiming])
            assert len(await claim_ids(consumer, 1)) == 1


class TestWait:
    async def test_a_closed_consumer_waits_no_more(self, url: str) -> None:
        consumer = MemoryBroker(url).consumer([QUEUE])
        waiting = await started(consumer.wait(None))
        await consumer.aclose()
        assert not await asyncio.wait_for(waiting, 1.0)
        assert not await asyncio.wait_for(consumer.wait(None), 1.0)

    async def test_it_needs_no_timeout_to_see_a_due_time(self, url: str) -> None:
        broker = MemoryBroker(url)
        consumer = broker.consumer([QUEUE])
        await publish(broker, delay=0.05)
        assert await asyncio.wait_for(consumer.wait(None), 1.0)
        await claim_one(broker, consumer)

    @pytest.mark.parametrize("back", [Requeue, lambda lease: Requeue(lease, delay=0.02)])
    async def test_what_comes_back_between_claim_and_wait_is_not_missed(
        self, url: str, back: Callable[..., Requeue]
    ) -> None:
        broker = MemoryBroker(url)
        busy, idle = broker.consumer([QUEUE]), broker.consumer([QUEUE])
        await publish(broker)
        delivery = await claim_one(broker, busy)
        assert (await idle.claim(1)).deliveries == []
        await broker.finish([back(delivery.lease)])
        assert await asyncio.wait_for(idle.wait(None), 1.0)

    async def test_a_waiter_is_forgotten_when_its_wait_is_over(self, url: str) -> None:
        broker = MemoryBroker(url)
        consumer = broker.consumer([QUEUE])
        waiting = await started(consumer.wait(None))
        waiting.cancel()
        await asyncio.wait([waiting])
        await consumer.wait(0.0)
        assert not broker._store._waiters


class TestBounds:
    """Memory is given back without anybody asking for the ids concerned."""

    async def test_expired_states_go(self, broker: MemoryBroker, clock: FakeClock) -> None:
        await publish_many(broker, 50)
        claim = await broker.consumer([QUEUE]).claim(50)
        outcomes = [
            Finish(delivery.lease, Status.COMPLETED, result_ttl=10.0)
            for delivery in claim.deliveries
        ]
        await broker.finish(outcomes)
        records = places_of(broker).records
        assert len(records) == 50
        clock.now += 10.0
        await broker.stats([QUEUE])
        assert len(records) == 0
        assert records.final.next() is None

    async def test_a_feed_hears_of_an_expiry_somebody_saw(
        self, broker: MemoryBroker, clock: FakeClock
    ) -> None:
        envelope = await publish(broker)
        await broker.cancel(QUEUE, envelope.id, 10.0)
        feed = broker.feed(QUEUE, envelope.id)
        assert await feed.get(1.0) is not None
        clock.now += 10.0
        await broker.stats([QUEUE])
        assert await feed.get(1.0) is None
        feed.close()

    async def test_feeds_go_when_they_are_closed(self, broker: MemoryBroker) -> None:
        feeds = [broker.feed(QUEUE, "nobody") for _ in range(3)]
        for feed in feeds:
            feed.close()
        assert not places_of(broker).listener._feeds

    async def test_heartbeats_pile_nothing_up(self, broker: MemoryBroker) -> None:
        await publish(broker)
        lease = (await claim_one(broker, broker.consumer([QUEUE]))).lease
        for _ in range(3 * SLACK):
            broker._store.heartbeat([lease], 15.0)
        assert len(places_of(broker).records.leased._heap) <= SLACK + 2

    async def test_a_call_moves_no_more_than_a_batch(
        self, broker: MemoryBroker, clock: FakeClock
    ) -> None:
        await publish_many(broker, MOST_SWEPT + 5, delay=10.0)
        clock.now += 10.0
        consumer = broker.consumer([QUEUE])
        claim = await consumer.claim(0)
        assert claim.due_in == 0.0
        assert (await broker.stats([QUEUE]))[0].pending == MOST_SWEPT
        assert (await broker.sweep([QUEUE])).promoted == 5

    async def test_dead_letters_go_when_they_are_old(
        self, broker: MemoryBroker, clock: FakeClock
    ) -> None:
        await self._bury(broker, 2)
        clock.now += 6 * 86400.0
        await self._bury(broker, 1)
        assert (await broker.stats([QUEUE]))[0].dead == 3
        clock.now += 1 * 86400.0
        assert (await broker.stats([QUEUE]))[0].dead == 1

    async def test_only_the_latest_dead_letters_stay(
        self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dead_letters, "MAX_DEAD", 3)
        ids = await self._bury(broker, 5)
        assert (await broker.stats([QUEUE]))[0].dead == 3
        assert list(places_of(broker).dead._dead[QUEUE]) == ids[2:]

    async def test_a_dead_letter_keeps_all_it_takes_to_send_it_again(
        self, broker: MemoryBroker
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        sent = make_envelope(lane=lane, body=b"body", ctx=b"{}", priority=0, max_tries=2)
        assert await broker.publish([sent]) == [Published.CREATED]
        lease = (await claim_one(broker, broker.consumer([lane]))).lease
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        assert places_of(broker).dead._dead[QUEUE][sent.id].record.envelope == sent

    async def _bury(self, broker: MemoryBroker, count: int) -> list[str]:
        ids = await publish_many(broker, count)
        claim = await broker.consumer([QUEUE]).claim(count)
        await broker.finish(
            [
                Finish(delivery.lease, Status.FAILED, dead=True, result_ttl=0.0)
                for delivery in claim.deliveries
            ]
        )
        return ids

    async def test_lanes_of_names_that_nobody_knew_go_when_they_are_empty(
        self, broker: MemoryBroker
    ) -> None:
        envelopes = [make_envelope(task_name=f"bank:{number}") for number in range(50)]
        await broker.publish(envelopes)
        async with broker.consumer([QUEUE], knows=[QUEUE]) as consumer:
            assert len((await consumer.claim(10)).moved) == 50
        lanes = places_of(broker).lanes
        assert len(lanes._lanes) == len(lanes._by_queue[QUEUE]) == 51
        await broker.cancel(QUEUE, envelopes[0].id, 10.0)
        assert await broker.clear(QUEUE) == 49
        assert [*lanes._lanes] == [*lanes._by_queue[QUEUE]] == [QUEUE]
