"""Tasks that a consumer meets and does not run: they move to lanes of their own."""

import asyncio
import time

import pytest
import pytest_asyncio

from ltq.broker import Broker, Consumer
from ltq.errors import TaskNotFoundError
from ltq.message import Published, Receipt
from ltq.options import Limit, Priority, Rate
from ltq.state import Status
from ltq.testing.conformance._support.eventually import PATIENCE
from ltq.testing.conformance._support.factories import (
    claim_ids,
    claim_one,
    make_envelope,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

SHARED = "emails"
LETTER, NEWS, BILL = "shop:letter", "shop:news", "bank:bill"
QUEUES = pytest.mark.parametrize("queue", [SHARED, "shop:all", LETTER, NEWS, BILL])


async def send(broker: Broker, task_name: str, queue: str = SHARED, **fields: object) -> str:
    return (await publish(broker, queue=queue, task_name=task_name, **fields)).id


async def claim_all(consumer: Consumer, limit: int = 10) -> list[str]:
    """The ids of several claims, in their order, until there is nothing more at once."""
    ids = list[str]()
    while True:
        claim = await consumer.claim(limit)
        ids += [delivery.lease.id for delivery in claim.deliveries]
        if not claim.deliveries and claim.due_in != 0:
            return ids


class TestMoved:
    @QUEUES
    async def test_a_task_that_is_not_known_is_not_given(
        self, broker: Broker, make_consumer: MakeConsumer, queue: str
    ) -> None:
        stranger, mine = await send(broker, BILL, queue), await send(broker, LETTER, queue)
        shop = make_consumer(queue, knows=[LETTER, NEWS])
        assert await claim_all(shop) == [mine]
        bank = make_consumer(queue, knows=[BILL])
        assert await claim_all(bank) == [stranger]

    @QUEUES
    async def test_a_serializer_that_is_not_known_is_not_given(
        self, broker: Broker, make_consumer: MakeConsumer, queue: str
    ) -> None:
        zipped = await send(broker, LETTER, queue, serializer="zip")
        packed = await send(broker, LETTER, queue, serializer="msgpack")
        odd = await send(broker, LETTER, queue, serializer="my zip")
        assert await claim_all(make_consumer(queue, knows=[LETTER])) == [packed, odd]
        assert (await broker.stats([queue]))[0].unserved == {f"{LETTER}/zip": 1}
        lane = f"{queue}/{LETTER}/zip"
        assert await broker.served([lane]) == [None]
        assert await claim_all(make_consumer(queue, knows=[BILL, f"{LETTER}/zap"])) == []
        reader = make_consumer(queue, knows=[LETTER, f"{LETTER}/zip"])
        assert await claim_all(reader) == [zipped]
        assert await broker.served([lane]) == [0.0]
        await broker.cancel(queue, zipped, 0.0)

    async def test_a_claim_says_where_and_that_there_may_be_more(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await send(broker, BILL)
        await send(broker, NEWS, priority=Priority.HIGH)
        await send(broker, BILL, priority=Priority.LOW)
        shop = make_consumer(SHARED, knows=[LETTER])
        claim = await shop.claim(10)
        assert (claim.deliveries, claim.due_in) == ([], 0.0)
        assert sorted(claim.moved) == [f"{SHARED}/{BILL}", f"{SHARED}/{NEWS}"]
        claim = await shop.claim(10)
        assert (claim.deliveries, claim.moved) == ([], ())
        assert claim.due_in is None or claim.due_in > 0

    async def test_it_is_no_delivery(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        envelope = make_envelope(queue=SHARED, task_name=BILL, ctx=b'{"a":1}', timeout=2.0)
        await broker.publish([envelope])
        before = await broker.state(SHARED, envelope.id)
        for _ in range(10):
            assert await claim_all(make_consumer(SHARED, knows=[LETTER])) == []
        assert await broker.state(SHARED, envelope.id) == before
        assert before.status is Status.PENDING
        delivery = await claim_one(broker, make_consumer(SHARED, knows=[BILL]))
        assert (delivery.dequeue_count, delivery.deaths, delivery.tries) == (1, 0, 0)
        assert (delivery.body, delivery.ctx) == (envelope.body, envelope.ctx)
        assert (delivery.timeout, delivery.lease.queue) == (2.0, SHARED)

    async def test_without_names_everything_is_given(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = [await send(broker, name) for name in (BILL, LETTER, BILL)]
        assert await claim_ids(make_consumer(SHARED), 10) == ids

    async def test_who_knows_nothing_gets_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await send(broker, BILL)
        assert await claim_all(make_consumer(SHARED, knows=[])) == []

    async def test_known_tasks_stay_first_in_first_out(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = [await send(broker, name) for name in (LETTER, NEWS, BILL, NEWS, LETTER, BILL, NEWS)]
        known = [ids[i] for i in (0, 1, 3, 4, 6)]
        shop = make_consumer(SHARED, knows=[LETTER, NEWS])
        assert [task_id for _ in known for task_id in await claim_ids(shop, 1)] == known

    async def test_the_others_keep_their_order_and_priority(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        levels = [Priority.NORMAL, Priority.LOW, Priority.HIGH] * 3
        ids = [await send(broker, BILL, priority=level) for level in levels]
        assert await claim_all(make_consumer(SHARED, knows=[LETTER])) == []
        (stats,) = await broker.stats([SHARED])
        assert stats.by_priority == {"high": 3, "normal": 3, "low": 3}
        bank = make_consumer(SHARED, knows=[BILL])
        assert await claim_all(bank, 1) == ids[2::3] + ids[0::3] + ids[1::3]

    async def test_very_many_hold_up_nobody(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        strangers = await publish_many(broker, 600, queue=SHARED, task_name=BILL)
        mine = await send(broker, LETTER)
        shop = make_consumer(SHARED, knows=[LETTER])
        claim = await shop.claim(500)
        assert (claim.deliveries, claim.due_in) == ([], 0.0), "one claim has moved too many"
        assert await claim_all(shop, 500) == [mine]
        assert await claim_all(make_consumer(SHARED, knows=[BILL]), 500) == strangers

    async def test_many_names_move_as_well(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        names = [f"bank:task{number}" for number in range(150)]
        ids = [await send(broker, name) for name in names]
        assert await claim_all(make_consumer(SHARED, knows=[LETTER])) == []
        bank = make_consumer(SHARED, knows=names[:50])
        assert sorted(await claim_all(bank)) == sorted(ids[:50])
        (stats,) = await broker.stats([SHARED])
        assert stats.pending == 100
        assert await broker.clear(SHARED) == 100

    async def test_who_waits_for_such_a_task_is_woken(
        self, broker: Broker, open_broker: OpenBroker, make_consumer: MakeConsumer
    ) -> None:
        shop = make_consumer(SHARED, knows=[LETTER])
        bank = make_consumer(SHARED, f"{SHARED}/{BILL}", on=open_broker(), knows=[BILL])
        assert await claim_all(shop) == await claim_all(bank) == []
        waiting = await started(broker, bank.wait(30.0))
        await asyncio.sleep(0)
        stranger = make_envelope(queue=SHARED, task_name=BILL, lane=f"{SHARED}/{NEWS}")
        await broker.publish([stranger])  # the bank waits for no such lane
        began = time.monotonic()
        news = make_consumer(SHARED, f"{SHARED}/{NEWS}", knows=[NEWS])
        assert await claim_all(news) == []
        assert await asyncio.wait_for(waiting, PATIENCE)
        assert await claim_all(bank) == [stranger.id]
        assert time.monotonic() - began < 5

    async def test_each_namespace_has_its_own(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        queues = [SHARED, "shop:all", "bank:all"]
        ids = {queue: await send(broker, BILL, queue) for queue in queues}
        assert await claim_all(make_consumer(*queues, knows=[LETTER])) == []
        for queue in queues:
            assert await claim_all(make_consumer(queue, knows=[BILL])) == [ids[queue]]


class TestLaneOfAStranger:
    """What is done to tasks in such lanes."""

    @pytest_asyncio.fixture(loop_scope="function")
    async def task_id(self, broker: Broker, make_consumer: MakeConsumer) -> str:
        task_id = await send(broker, BILL, result_ttl=60.0, fingerprint="f", unique_for=60.0)
        assert await claim_all(make_consumer(SHARED, knows=[LETTER])) == []
        return task_id

    async def test_it_can_be_cancelled(
        self, broker: Broker, make_consumer: MakeConsumer, task_id: str
    ) -> None:
        assert await broker.cancel(SHARED, task_id, 60.0)
        assert (await broker.state(SHARED, task_id)).status is Status.CANCELLED
        assert await claim_all(make_consumer(SHARED, knows=[BILL])) == []
        (stats,) = await broker.stats([SHARED])
        assert (stats.pending, stats.unserved) == (0, {})

    async def test_it_is_counted_and_cleared_with_its_queue(
        self, broker: Broker, task_id: str
    ) -> None:
        (stats,) = await broker.stats([SHARED])
        assert stats.pending == 1
        assert stats.oldest is not None
        assert await broker.clear(SHARED) == 1
        with pytest.raises(TaskNotFoundError):
            await broker.state(SHARED, task_id)
        assert await broker.queues() == [SHARED]

    async def test_it_takes_room_in_its_queue(self, broker: Broker, task_id: str) -> None:
        more = make_envelope(queue=SHARED, task_name=LETTER, max_pending=1)
        assert await broker.publish([more]) == [Published.FULL]

    async def test_its_id_and_its_fingerprint_stay(self, broker: Broker, task_id: str) -> None:
        again = make_envelope(id=task_id, queue=SHARED, task_name=BILL)
        alike = make_envelope(queue=SHARED, task_name=BILL, fingerprint="f", unique_for=60.0)
        answers = [Published.EXISTS, Published.DUPLICATE]
        assert await broker.publish([again, alike]) == answers
        assert await broker.first(SHARED, "f") == task_id

    async def test_one_that_is_put_back_or_replayed_comes_back_to_those_who_know_it(
        self, broker: Broker, make_consumer: MakeConsumer, task_id: str
    ) -> None:
        bank = make_consumer(SHARED, knows=[BILL])
        delivery = await claim_one(broker, bank)
        assert await broker.requeue(delivery.lease) is Receipt.OK
        assert await claim_all(make_consumer(SHARED, knows=[LETTER])) == []
        assert (await claim_one(broker, bank)).dequeue_count == 2

    async def test_those_of_a_dead_worker_come_back_to_those_who_know_it(
        self, broker: Broker, make_consumer: MakeConsumer, task_id: str
    ) -> None:
        await claim_one(broker, make_consumer(SHARED, knows=[BILL], lease=0.01))
        bank, shop = (make_consumer(SHARED, knows=[name]) for name in (BILL, LETTER))
        delivery = await claim_one(broker, bank)
        assert (delivery.lease.id, delivery.deaths) == (task_id, 1)
        assert await claim_all(shop) == []

    async def test_a_repair_leaves_it_where_it_is(
        self, broker: Broker, make_consumer: MakeConsumer, task_id: str
    ) -> None:
        assert await broker.repair([SHARED]) == 0
        assert await claim_all(make_consumer(SHARED, knows=[BILL])) == [task_id]


class TestLimitedKnown:
    LANE = f"{SHARED}/{LETTER}"

    async def test_what_was_sent_without_a_lane_is_limited_all_the_same(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        limits = {self.LANE: Limit(running=2)}
        shop = make_consumer(SHARED, self.LANE, limits=limits, knows=[LETTER, NEWS])
        await publish_many(broker, 5, queue=SHARED, task_name=LETTER)
        await publish(broker, queue=SHARED, task_name=LETTER, lane=self.LANE)
        news = await send(broker, NEWS)
        ids = await claim_all(shop)
        assert news in ids
        assert len(ids) == 3

    async def test_a_rate_holds_as_well_and_is_waited_for(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        limits = {self.LANE: Limit(Rate(1, 60))}
        shop = make_consumer(SHARED, limits=limits, knows=[LETTER])
        await publish_many(broker, 3, queue=SHARED, task_name=LETTER)
        assert len(await claim_all(shop)) == 1
        claim = await shop.claim(10)
        assert claim.start_in is not None
        assert 50 < claim.start_in <= 60

    async def test_one_that_lost_its_limit_is_given_from_its_lane(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 3, queue=SHARED, task_name=LETTER, lane=self.LANE)
        await publish_many(broker, 2, queue=SHARED, task_name=LETTER)
        assert len(await claim_all(make_consumer(SHARED, knows=[LETTER]))) == 5

    async def test_in_its_own_queue_nothing_moves(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        shop = make_consumer(LETTER, limits={LETTER: Limit(running=1)}, knows=[LETTER])
        await publish_many(broker, 2, queue=LETTER, task_name=LETTER)
        claim = await shop.claim(10)
        assert (len(claim.deliveries), claim.moved) == (1, ())


class TestUnserved:
    async def test_what_no_live_consumer_knows_is_told_by_name(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        for name in (BILL, NEWS, BILL, LETTER):
            await send(broker, name)
        shop = make_consumer(SHARED, knows=[LETTER])
        await claim_all(shop)
        (stats,) = await broker.stats([SHARED])
        assert (stats.pending, stats.unserved) == (3, {BILL: 2, NEWS: 1})
        assert stats.unserved_oldest is not None
        assert 0 <= stats.unserved_oldest < 60
        await broker.serve([f"{SHARED}/{BILL}"], 30.0)
        (stats,) = await broker.stats([SHARED])
        assert stats.unserved == {NEWS: 1}

    async def test_what_waits_in_the_queue_itself_is_not_meant(self, broker: Broker) -> None:
        await send(broker, LETTER)
        (stats,) = await broker.stats([SHARED])
        assert (stats.unserved, stats.unserved_oldest) == ({}, None)
