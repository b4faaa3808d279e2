"""Items of streams: adding, reading, fencing and forgetting them."""

import asyncio

import pytest

from ltq.broker import Broker
from ltq.errors import ConfigurationError
from ltq.message import Delivery, Finish, Lease, Receipt, Requeue
from ltq.state import Items, Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_one,
    lose,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

MOST = 10_000


async def claimed(broker: Broker, make_consumer: MakeConsumer, **fields: object) -> Delivery:
    """A task that was just sent and claimed."""
    await publish(broker, **fields)
    return await claim_one(broker, make_consumer())


async def read(
    broker: Broker, task_id: str, attempt: int = 0, after: int = 0, limit: int = 1000
) -> Items:
    """Some items of a task that is there."""
    found = await broker.items(QUEUE, task_id, attempt=attempt, after=after, limit=limit)
    assert found is not None
    return found


class TestAppend:
    async def test_items_are_read_in_their_order(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        assert await broker.append(lease, 0, [b"1", b'"two"'], MOST)
        assert await broker.append(lease, 2, [b"\x00\xff"], MOST)
        items = (b"1", b'"two"', b"\x00\xff")
        assert await read(broker, lease.id) == Items(attempt=1, first=0, items=items, total=3)
        assert (await broker.state(QUEUE, lease.id)).items == 3

    async def test_a_task_without_items_has_none(self, broker: Broker) -> None:
        envelope = await publish(broker)
        assert await read(broker, envelope.id) == Items(attempt=0, first=0, items=(), total=0)

    async def test_a_repeated_call_adds_only_what_is_not_there(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        for items in ([b"0", b"1"], [b"0", b"1"], [b"0", b"1", b"2"]):
            assert await broker.append(lease, 0, items, MOST)
        assert await broker.append(lease, 1, [b"1"], MOST)
        assert (await read(broker, lease.id)).items == (b"0", b"1", b"2")
        assert (await broker.state(QUEUE, lease.id)).items == 3

    async def test_items_that_the_store_has_lost_are_missing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        assert await broker.append(lease, 0, [b"0"], MOST)
        assert await broker.append(lease, 5, [b"5", b"6"], MOST)
        found = await read(broker, lease.id, attempt=1, after=1)
        assert found == Items(attempt=1, first=5, items=(b"5", b"6"), total=7)

    async def test_streams_at_the_same_time_do_not_mix(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        ids = await publish_many(broker, 30)
        leases: dict[str, Lease] = {}
        while len(leases) < len(ids):  # a claim may give fewer than it could
            for one in (await consumer.claim(30, len(leases))).deliveries:
                leases[one.lease.id] = one.lease
        lost, alone = ids[3], ids[4]
        await broker.requeue(leases[lost])
        own = {name: [b"%d of %b" % (number, name.encode()) for number in range(3)] for name in ids}
        own[alone] = [b"x" * 100_000]
        adding = (broker.append(leases[name], 0, own[name], MOST) for name in ids)
        assert await asyncio.gather(*adding) == [name != lost for name in ids]
        found = await asyncio.gather(*(broker.items(QUEUE, name) for name in [*ids, "unknown"]))
        assert found.pop() is None
        own[lost] = []
        assert [one and [*one.items] for one in found] == [own[name] for name in ids]

    async def test_the_oldest_go_beyond_the_most(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        for first in range(0, 12, 3):
            items = [b"%d" % number for number in range(first, first + 3)]
            assert await broker.append(lease, first, items, 5)
        last = (b"7", b"8", b"9", b"10", b"11")
        assert await read(broker, lease.id) == Items(attempt=1, first=7, items=last, total=12)

    async def test_one_call_may_have_more_than_the_most(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        assert await broker.append(lease, 0, [b"%d" % number for number in range(3000)], 2)
        found = await read(broker, lease.id)
        assert found == Items(attempt=1, first=2998, items=(b"2998", b"2999"), total=3000)

    async def test_who_follows_the_task_is_told(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        feed = broker.feed(QUEUE, lease.id)
        first = await feed.get(5)
        assert first is not None
        assert first.items == 0
        await broker.append(lease, 0, [b"1"], MOST)
        told = await feed.get(5)
        feed.close()
        assert told is not None
        assert told.items == 1


class TestItemsOfALease:
    async def test_a_lost_one_adds_nothing(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = (await claimed(broker, make_consumer)).lease
        await broker.append(old, 0, [b"old"], MOST)
        await broker.requeue(old)
        assert not await broker.append(old, 1, [b"late"], MOST)
        new = (await claim_one(broker, make_consumer())).lease
        assert not await broker.append(old, 1, [b"late"], MOST)
        await broker.append(new, 0, [b"new"], MOST)
        assert not await broker.append(old, 1, [b"late"], MOST)
        assert (await read(broker, new.id)).items == (b"new",)

    async def test_one_that_no_claim_gave_adds_nothing(self, broker: Broker) -> None:
        envelope = await publish(broker)
        assert not await broker.append(Lease(envelope.id, QUEUE, 1), 0, [b"1"], MOST)
        assert not await broker.append(Lease("unknown", QUEUE, 1), 0, [b"1"], MOST)
        assert await broker.items(QUEUE, "unknown") is None

    async def test_the_next_delivery_begins_anew(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"a", b"b"], MOST)
        await broker.requeue(lease)
        waiting = await read(broker, lease.id, attempt=1, after=1)
        assert waiting == Items(attempt=1, first=1, items=(b"b",), total=2)
        second = (await claim_one(broker, make_consumer())).lease
        assert await read(broker, lease.id, attempt=1, after=2) == Items(
            attempt=2, first=0, items=(), total=0
        )
        assert (await broker.state(QUEUE, lease.id)).items == 0
        await broker.append(second, 0, [b"c"], MOST)
        # The cursor of the first delivery says nothing about the second one.
        found = await read(broker, lease.id, attempt=1, after=2)
        assert found == Items(attempt=2, first=0, items=(b"c",), total=1)

    async def test_a_takeover_begins_anew(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, make_consumer(lease=0.02))
        dead = delivery.lease
        await broker.append(dead, 0, [b"of the dead"], MOST)
        await lose(broker, delivery)
        second = (await claim_one(broker, make_consumer())).lease
        assert not await broker.append(dead, 1, [b"late"], MOST)
        assert await read(broker, dead.id) == Items(attempt=2, first=0, items=(), total=0)
        await broker.append(second, 0, [b"1"], MOST)
        await broker.release(second)
        assert await read(broker, dead.id) == Items(attempt=2, first=0, items=(b"1",), total=1)


class TestReadItems:
    async def test_a_part_is_read(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"%d" % number for number in range(250)], MOST)
        found = await read(broker, lease.id, attempt=1, after=120, limit=3)
        assert found == Items(attempt=1, first=120, items=(b"120", b"121", b"122"), total=250)
        behind = await read(broker, lease.id, attempt=1, after=250)
        assert behind == Items(attempt=1, first=250, items=(), total=250)

    async def test_large_items_come_in_several_pages(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        for number in range(6):
            await broker.append(lease, number, [b"%d" % number * (1 << 20)], MOST)
        sizes: list[int] = []
        while len(sizes) < 6:
            page = await read(broker, lease.id, attempt=1, after=len(sizes))
            assert page.items
            sizes += map(len, page.items)
        assert sizes == [1 << 20] * 6

    @pytest.mark.parametrize("task_id", ["", "a b"])
    async def test_what_is_no_id_is_refused(self, broker: Broker, task_id: str) -> None:
        with pytest.raises(ConfigurationError):
            await broker.items(QUEUE, task_id)


class TestEndOfItems:
    async def test_they_stay_as_long_as_the_state(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"1"], MOST)
        await broker.release(lease, result=b"1", result_ttl=0.3)
        state = await broker.state(QUEUE, lease.id)
        assert (state.status, state.items) == (Status.COMPLETED, 1)
        assert (await read(broker, lease.id)).items == (b"1",)

        async def is_gone() -> bool:
            return await broker.items(QUEUE, lease.id) is None

        await eventually(is_gone)

    async def test_a_new_task_with_the_id_has_none_of_the_old_one(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"old"], MOST)
        await broker.release(lease, result_ttl=0)
        assert await broker.items(QUEUE, lease.id) is None
        again = (await claimed(broker, make_consumer, id=lease.id)).lease
        assert (await read(broker, lease.id)).total == 0
        await broker.append(again, 0, [b"new"], MOST)
        assert (await read(broker, lease.id)).items == (b"new",)

    async def test_a_cancelled_task_keeps_them(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"1"], MOST)
        await broker.cancel(QUEUE, lease.id, 30.0)
        assert not await broker.append(lease, 1, [b"2"], MOST)
        assert (await read(broker, lease.id)).items == (b"1",)

    async def test_a_replay_begins_without_any(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"1"], MOST)
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        assert (await read(broker, lease.id)).items == (b"1",)
        await broker.replay(QUEUE, [lease.id])
        assert (await read(broker, lease.id)).total == 0
        assert (await broker.state(QUEUE, lease.id)).items == 0

    async def test_a_cleared_task_leaves_none(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lease = (await claimed(broker, make_consumer)).lease
        await broker.append(lease, 0, [b"1"], MOST)
        assert await broker.finish([Requeue(lease)]) == [Receipt.OK]
        assert await broker.clear(QUEUE) == 1
        again = (await claimed(broker, make_consumer, id=lease.id)).lease
        assert (await read(broker, again.id)).total == 0


class TestMaxItems:
    async def test_what_the_send_said_comes_with_the_delivery(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        delivery = await claimed(broker, make_consumer, max_items=7)
        assert delivery.max_items == 7
        await broker.requeue(delivery.lease)
        assert (await claim_one(broker, make_consumer())).max_items == 7

    async def test_a_rerun_has_it_too(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        lease = (await claimed(broker, make_consumer, max_items=7, keep_body=True)).lease
        await broker.append(lease, 0, [b"1"], MOST)
        await broker.release(lease)
        (new_id,) = await broker.rerun(QUEUE, [lease.id])
        delivery = await claim_one(broker, make_consumer())
        assert (delivery.lease.id, delivery.max_items) == (new_id, 7)
        assert (await read(broker, new_id)).total == 0
        assert (await read(broker, lease.id)).total == 1
