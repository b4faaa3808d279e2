"""Tasks on their way to another store: packed, adopted and dropped."""

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, Consumer, Parcel
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import Failure, Published, Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._seam.dead_letters import bury, bury_many, dead_count, letter_ids
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    make_envelope,
    publish,
    publish_many,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

FULL = make_envelope(
    task_name="mail:other",
    lane=f"{QUEUE}/mail:other",
    body=b'{"to":"j\xc3\xb6"}\xff\x00',
    serializer="msgpack",
    priority=Priority.HIGH,
    timeout=3.0,
    max_tries=4,
    result_ttl=0.5,
    max_deliveries=7,
    ctx=b'{"trace":"\xc3\xa4"}',
    tags=("a", "b:c"),
    keep_body=True,
)
"""A task with all options that stay with it."""

FAILURE = Failure("ValueError", "ValueError: text", "Traceback ...")


async def pack_one(broker: Broker, task_id: str, *, dead: bool = False) -> Parcel:
    """A task, or a dead letter, that is there."""
    (parcel,) = await (broker.pack_dead if dead else broker.pack)(QUEUE, [task_id])
    assert parcel is not None
    return parcel


async def pack_all(broker: Broker, ids: list[str]) -> list[Parcel]:
    """Tasks that are there."""
    return [parcel for parcel in await broker.pack(QUEUE, ids) if parcel is not None]


async def counts(broker: Broker) -> tuple[int, int, int]:
    """How many tasks of the queue are pending, delayed and working."""
    (stats,) = await broker.stats([QUEUE])
    return stats.pending, stats.delayed, stats.working


async def retried(broker: Broker, consumer: Consumer, *, delay: float) -> str:
    """A task whose first run failed. Returns its id."""
    task_id = (await publish(broker, max_tries=3)).id
    lease = (await claim_one(broker, consumer)).lease
    again = Requeue(lease, delay=delay, failed=True, failure=FAILURE, ctx=b'{"n":1}', timeout=9.0)
    await broker.finish([again])
    return task_id


class TestPack:
    async def test_a_parcel_has_all_that_the_send_said(self, broker: Broker) -> None:
        await broker.publish([replace(FULL, max_pending=10)])
        state = await broker.state(QUEUE, FULL.id)
        parcel = await pack_one(broker, FULL.id)
        expected = Parcel(
            envelope=FULL, status=Status.PENDING, enqueue_time=state.enqueue_time or 0.0
        )
        assert parcel == expected
        assert await counts(broker) == (1, 0, 0)

    async def test_of_a_retry_it_has_what_happened_and_when_it_is_due(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task_id = await retried(broker, consumer, delay=60.0)
        state, parcel = await broker.state(QUEUE, task_id), await pack_one(broker, task_id)
        assert (parcel.status, parcel.when) == (Status.DELAYED, state.due_time)
        assert (parcel.tries, parcel.dequeue_count) == (1, 1)
        assert (parcel.failure, parcel.worker) == (FAILURE, consumer.name)
        assert parcel.last_dequeue_time == state.last_dequeue_time
        assert (parcel.envelope.ctx, parcel.envelope.timeout) == (b'{"n":1}', 9.0)

    async def test_what_does_not_wait_there_is_none(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        ids = await publish_many(broker, 2)
        await claim_one(broker, consumer)
        await broker.release((await claim_one(broker, consumer)).lease)
        other = await publish(broker, queue="mail:other")
        assert await broker.pack(QUEUE, [*ids, other.id, "unknown"]) == [None] * 4
        assert await broker.pack_dead(QUEUE, [*ids, "unknown"]) == [None] * 3

    async def test_many_at_once_in_their_order(self, broker: Broker) -> None:
        ids = await publish_many(broker, 1200)
        assert [one.envelope.id for one in await pack_all(broker, ids[::-1])] == ids[::-1]

    async def test_wrong_names_are_refused(self, broker: Broker) -> None:
        await publish(broker)
        for queue, ids in (("a b", ["x"]), (QUEUE, ["x y"])):
            with pytest.raises(ConfigurationError):
                await broker.pack(queue, ids)
            with pytest.raises(ConfigurationError):
                await broker.pack_dead(queue, ids)


class TestAdopt:
    async def test_a_task_is_as_it_was(self, broker: Broker, consumer: Consumer) -> None:
        await broker.publish([FULL])
        ids = [FULL.id, await retried(broker, consumer, delay=60.0)]
        parcels, states = await pack_all(broker, ids), await broker.states(QUEUE, ids)
        assert await broker.drop(parcels) == []
        assert await broker.states(QUEUE, ids) == [None, None]
        assert await broker.adopt(parcels) == [Published.CREATED] * 2
        assert await pack_all(broker, ids) == parcels
        assert await broker.states(QUEUE, ids) == states

    async def test_it_runs_with_the_tries_it_had(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await retried(broker, consumer, delay=0.0)
        parcel = await pack_one(broker, task_id)
        await broker.drop([parcel])
        await broker.adopt([parcel])
        delivery = await claim_one(broker, consumer)
        assert (delivery.lease.id, delivery.tries, delivery.dequeue_count) == (task_id, 1, 2)
        assert (delivery.ctx, delivery.max_tries, delivery.timeout) == (b'{"n":1}', 3, 9.0)
        assert delivery.enqueue_time == parcel.enqueue_time

    async def test_the_order_and_the_priorities_stay(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish_many(broker, 3, priority=Priority.LOW)
        normal = await publish_many(broker, 600)
        high = await publish_many(broker, 3, priority=Priority.HIGH)
        order = [*high, *normal, *low]
        parcels = await pack_all(broker, order)
        await broker.drop(parcels)
        for start in range(0, len(parcels), 250):
            await broker.adopt(parcels[start : start + 250])
        assert await claim_ids(make_consumer(), 1000) == order

    async def test_a_delayed_one_is_due_at_the_same_moment(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = [(await publish(broker, delay=delay)).id for delay in (60.0, 0.3)]
        parcels = await pack_all(broker, ids)
        await broker.drop(parcels)
        await broker.adopt(parcels)
        assert await pack_all(broker, ids) == parcels
        delivery = await claim_one(broker, make_consumer())
        assert delivery.lease.id == ids[1]
        assert delivery.dequeue_time >= parcels[1].when

    async def test_one_that_is_there_is_not_taken_again(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task = await publish(broker, result_ttl=60.0)
        parcel = await pack_one(broker, task.id)
        assert await broker.adopt([parcel, parcel]) == [Published.EXISTS] * 2
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.adopt([parcel]) == [Published.EXISTS]
        await broker.release(lease)
        assert await broker.adopt([parcel]) == [Published.EXISTS]
        assert await counts(broker) == (0, 0, 0)

    async def test_nor_is_one_that_ran_here_and_left_no_state(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task = await publish(broker)
        parcel = await pack_one(broker, task.id)
        await broker.drop([parcel])
        assert await broker.adopt([parcel]) == [Published.CREATED]
        await broker.release((await claim_one(broker, consumer)).lease, result_ttl=0.0)
        assert await broker.adopt([parcel]) == [Published.EXISTS]
        assert await counts(broker) == (0, 0, 0)

    async def test_one_that_went_and_comes_back_is(self, broker: Broker) -> None:
        task = await publish(broker)
        parcel = await pack_one(broker, task.id)
        for _ in range(3):
            assert await broker.drop([parcel]) == []
            assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await counts(broker) == (1, 0, 0)

    async def test_another_task_with_the_id_stays(self, broker: Broker) -> None:
        task = await publish(broker)
        parcel = await pack_one(broker, task.id)
        other_time = replace(parcel, enqueue_time=parcel.enqueue_time - 1.0)
        other_name = replace(parcel, envelope=replace(parcel.envelope, task_name="mail:other"))
        answers = await broker.adopt([other_time, other_name])
        assert answers == [Published.ID_CONFLICT] * 2
        assert await pack_one(broker, task.id) == parcel
        assert await counts(broker) == (1, 0, 0)

    async def test_a_consumer_that_waits_is_woken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker)
        parcel = await pack_one(broker, task.id)
        await broker.drop([parcel])
        waiting = await started(broker, claim_one(broker, make_consumer()))
        await broker.adopt([parcel])
        assert (await waiting).lease.id == task.id

    async def test_a_full_queue_takes_it_and_the_queue_is_known(self, broker: Broker) -> None:
        envelope = make_envelope(queue="mail:new", max_pending=1)
        parcel = Parcel(envelope=envelope, status=Status.PENDING, enqueue_time=1e9)
        assert await broker.queues() == []
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await broker.queues() == ["mail:new"]

    async def test_wrong_names_are_refused_and_nothing_is_taken(self, broker: Broker) -> None:
        good = Parcel(envelope=make_envelope(), status=Status.PENDING, enqueue_time=1e9)
        wrong = replace(good, envelope=make_envelope(id="x y"))
        with pytest.raises(ConfigurationError):
            await broker.adopt([good, wrong])
        with pytest.raises(ConfigurationError):
            await broker.drop([wrong])
        assert await broker.queues() == []


class TestAdoptDead:
    async def test_a_letter_is_as_it_was(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer, tags=("t",), result_ttl=0.5, body=b"[1]")
        parcel, letter = (
            await pack_one(broker, task_id, dead=True),
            await broker.dead_letter(QUEUE, task_id),
        )
        assert (parcel.status, parcel.when) == (Status.FAILED, letter.time)
        assert await broker.drop([parcel]) == []
        assert await dead_count(broker) == 0
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await broker.dead_letter(QUEUE, task_id) == letter
        assert await pack_one(broker, task_id, dead=True) == parcel

    async def test_it_can_be_replayed(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer, body=b"[1]", max_tries=1)
        parcel = await pack_one(broker, task_id, dead=True)
        await broker.drop([parcel])
        await broker.adopt([parcel])
        assert await broker.replay(QUEUE, [task_id]) == [Published.CREATED]
        delivery = await claim_one(broker, consumer)
        assert (delivery.lease.id, delivery.body, delivery.tries) == (task_id, b"[1]", 0)
        assert delivery.max_tries == 1
        assert await broker.adopt([parcel]) == [Published.EXISTS], "it was taken over before"
        assert await dead_count(broker) == 0

    async def test_their_order_stays(self, broker: Broker, consumer: Consumer) -> None:
        ids = await bury_many(broker, consumer, 600)
        parcels = [one for one in await broker.pack_dead(QUEUE, ids) if one is not None]
        assert await broker.drop(parcels) == []
        for start in range(0, len(parcels), 250):
            await broker.adopt(parcels[start : start + 250])
        assert await letter_ids(broker, limit=1000) == ids[::-1]

    async def test_one_that_died_later_is_before_it(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, second, third = [await bury(broker, consumer) for _ in range(3)]
        parcel = await pack_one(broker, second, dead=True)
        await broker.drop([parcel])
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await letter_ids(broker) == [third, second, first]

    async def test_a_later_death_counts(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer)
        parcel = await pack_one(broker, task_id, dead=True)
        earlier, later = (replace(parcel, when=parcel.when + change) for change in (-9.0, 9.0))
        assert await broker.adopt([earlier]) == [Published.EXISTS]
        assert await pack_one(broker, task_id, dead=True) == parcel
        assert await broker.adopt([later]) == [Published.CREATED]
        assert await broker.drop([parcel]) == []
        assert await pack_one(broker, task_id, dead=True) == later


class TestDrop:
    async def test_it_does_not_exist_any_more_and_was_not_cancelled(self, broker: Broker) -> None:
        ids = await publish_many(broker, 2)
        ids += await publish_many(broker, 1, delay=60.0)
        first, *others = await pack_all(broker, ids)
        assert await broker.drop(others) == []
        assert [one and one.status for one in await broker.states(QUEUE, ids)] == [
            Status.PENDING,
            None,
            None,
        ]
        assert await counts(broker) == (1, 0, 0)
        with pytest.raises(TaskNotFoundError):
            await broker.wait(QUEUE, ids[1], timeout=5.0)
        assert await broker.drop([first, *others]) == []
        assert await counts(broker) == (0, 0, 0)

    async def test_one_that_was_claimed_since_stays_and_is_named(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        ids = await publish_many(broker, 2)
        parcels = await pack_all(broker, ids)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.drop(parcels) == [ids[0]]
        assert await counts(broker) == (0, 0, 1)
        await broker.release(lease)
        assert await broker.drop(parcels) == [ids[0]]

    async def test_another_task_with_the_id_stays(self, broker: Broker) -> None:
        task = await publish(broker)
        parcel = await pack_one(broker, task.id)
        assert await broker.drop([replace(parcel, enqueue_time=1e9)]) == []
        assert await pack_one(broker, task.id) == parcel
