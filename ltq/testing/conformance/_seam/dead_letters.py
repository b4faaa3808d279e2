"""Dead letters: their content, replaying and purging them."""

from typing import Any

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Delivery, Failure, Finish, Published, Receipt, Requeue
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

FAILURE = Failure("ValueError", "ValueError: text", "Traceback ...")


async def fail(broker: Broker, delivery: Delivery, **fields: Any) -> None:
    """Let a delivery end as FAILED and be kept as a dead letter."""
    outcome = Finish(delivery.lease, Status.FAILED, **{"failure": FAILURE, "dead": True, **fields})
    assert await broker.finish([outcome]) == [Receipt.OK]


async def bury(broker: Broker, consumer: Consumer, **fields: Any) -> str:
    """Make one dead letter. Returns its id."""
    task = await publish(broker, **fields)
    await fail(broker, await claim_one(broker, consumer))
    return task.id


async def bury_many(broker: Broker, consumer: Consumer, count: int) -> list[str]:
    """Make dead letters. Returns their ids, the oldest first."""
    await publish_many(broker, count)
    ids: list[str] = []
    while len(ids) < count:
        deliveries = (await consumer.claim(500)).deliveries
        outcomes = [Finish(each.lease, Status.FAILED, dead=True) for each in deliveries]
        await broker.finish(outcomes)
        ids += [delivery.lease.id for delivery in deliveries]
    return ids


async def letter_ids(broker: Broker, queue: str = QUEUE, **window: int) -> list[str]:
    return [letter.id for letter in await broker.dead_letters(queue, **window)]


async def dead_count(broker: Broker, queue: str = QUEUE) -> int:
    return (await broker.stats([queue]))[0].dead


class TestDeadLetters:
    async def test_one_has_all_there_is_to_know(self, broker: Broker, consumer: Consumer) -> None:
        task = await publish(broker, task_name="mail:other", body=b"[[1],{}]")
        first = await claim_one(broker, consumer)
        await broker.finish([Requeue(first.lease, failed=True, failure=FAILURE)])
        last = await claim_one(broker, consumer)
        await fail(broker, last)
        (letter,) = await broker.dead_letters(QUEUE)
        assert letter.time >= last.dequeue_time
        assert letter == DeadLetter(
            id=task.id,
            task_name="mail:other",
            queue=QUEUE,
            status=Status.FAILED,
            body=b"[[1],{}]",
            error="ValueError: text",
            error_type="ValueError",
            traceback="Traceback ...",
            time=letter.time,
            enqueue_time=first.enqueue_time,
            tries=2,
            dequeue_count=2,
            requeue_count=1,
            deaths=0,
            worker=consumer.name,
        )

    async def test_a_rejection_counts_no_failed_run(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        delivery = await claim_one(broker, consumer)
        failure = Failure("", "a reason")
        await broker.finish([Finish(delivery.lease, Status.REJECTED, failure=failure, dead=True)])
        (letter,) = await broker.dead_letters(QUEUE)
        assert (letter.status, letter.tries) == (Status.REJECTED, 0)
        assert (letter.error, letter.error_type, letter.traceback) == ("a reason", None, None)

    async def test_that_of_a_task_that_killed_its_workers_says_so(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, max_deliveries=1, body=b"body")
        consumer = make_consumer(lease=0.02)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Requeue(delivery.lease, failed=True, failure=FAILURE)])
        await lose(broker, await claim_one(broker, consumer))
        letter = await broker.dead_letter(QUEUE, task.id)
        assert (letter.status, letter.deaths, letter.tries) == (Status.REJECTED, 1, 1)
        assert letter.body == b"body"
        assert "killed its worker" in (letter.error or "")
        assert (letter.error_type, letter.traceback) == (None, None)

    async def test_it_stays_when_the_state_is_gone(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task = await publish(broker)
        await fail(broker, await claim_one(broker, consumer), result_ttl=0.0)
        assert await broker.states(QUEUE, [task.id]) == [None]
        assert await letter_ids(broker) == [task.id]

    async def test_they_come_the_newest_first(self, broker: Broker, consumer: Consumer) -> None:
        ids = [await bury(broker, consumer) for _ in range(4)]
        newest = ids[::-1]
        assert await letter_ids(broker) == newest
        assert await letter_ids(broker, limit=2) == newest[:2]
        assert await letter_ids(broker, limit=2, offset=1) == newest[1:3]
        assert await letter_ids(broker, limit=2, offset=3) == newest[3:]
        assert await letter_ids(broker, offset=4) == []
        assert await letter_ids(broker, limit=0) == []

    async def test_those_of_one_sweep_come_the_last_claimed_first(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish_many(broker, 12, max_deliveries=1)
        ids = await claim_ids(make_consumer(lease=0.05), 12)
        buried = 0

        async def all_are_buried() -> bool:
            nonlocal buried
            buried += (await broker.sweep([QUEUE])).buried
            return buried == 12

        await eventually(all_are_buried, description="the end of the leases")
        assert await letter_ids(broker) == ids[::-1]
        assert await broker.purge(QUEUE) == 12

    async def test_each_queue_has_its_own(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task_id = await bury(broker, make_consumer("mail:other"), queue="mail:other")
        assert await letter_ids(broker) == []
        assert await letter_ids(broker, "no:such") == []
        assert await letter_ids(broker, "mail:other") == [task_id]

    async def test_a_task_that_dies_again_has_only_its_latest(
        self, broker: Broker, consumer: Consumer, make_consumer: MakeConsumer
    ) -> None:
        for body in (b"1", b"2"):
            await publish(broker, id="same", body=body)
            await fail(broker, await claim_one(broker, consumer), result_ttl=0.0)
        await bury(broker, consumer)
        assert [letter.body for letter in await broker.dead_letters(QUEUE)] == [b"{}", b"2"]
        await bury(broker, make_consumer("mail:other"), id="same", queue="mail:other")
        assert "same" not in await letter_ids(broker)
        assert await dead_count(broker) == 1
        assert await letter_ids(broker, "mail:other") == ["same"]

    async def test_many_come_at_once(self, broker: Broker, consumer: Consumer) -> None:
        ids = await bury_many(broker, consumer, 250)
        assert set(await letter_ids(broker, limit=1000)) == set(ids)
        assert len(await letter_ids(broker)) == 100


class TestDeadLetterById:
    async def test_it_is_found_with_its_queue_or_without(
        self, broker: Broker, consumer: Consumer, open_broker: OpenBroker
    ) -> None:
        await publish(broker, queue="a:x")
        task_id = await bury(broker, consumer)
        letter = await broker.dead_letter(QUEUE, task_id)
        assert letter.id == task_id
        assert await open_broker().dead_letter(None, task_id) == letter

    @pytest.mark.parametrize("queue", [None, QUEUE])
    async def test_an_unknown_one_is_not_found(self, broker: Broker, queue: str | None) -> None:
        task = await publish(broker)  # it has not died
        for task_id in (task.id, "nobody"):
            with pytest.raises(TaskNotFoundError):
                await broker.dead_letter(queue, task_id)

    @pytest.mark.parametrize("queue", ["mail:other", "other:send"])
    async def test_that_of_another_queue_is_not_found(
        self, broker: Broker, consumer: Consumer, queue: str
    ) -> None:
        task_id = await bury(broker, consumer)
        with pytest.raises(TaskNotFoundError):
            await broker.dead_letter(queue, task_id)


class TestPurge:
    async def test_it_removes_the_letters_named(self, broker: Broker, consumer: Consumer) -> None:
        one, two, three = [await bury(broker, consumer) for _ in range(3)]
        assert await broker.purge(QUEUE, [one, "nobody", three]) == 2
        assert await letter_ids(broker) == [two]
        assert await dead_count(broker) == 1
        assert await broker.purge(QUEUE, [one]) == 0
        assert await broker.replay(QUEUE, [one]) == [Published.GONE]

    async def test_the_state_stays(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer)
        assert await broker.purge(QUEUE, [task_id]) == 1
        assert (await broker.state(QUEUE, task_id)).status is Status.FAILED

    async def test_naming_none_removes_none(self, broker: Broker, consumer: Consumer) -> None:
        await bury(broker, consumer)
        assert await broker.purge(QUEUE, []) == 0
        assert await dead_count(broker) == 1

    async def test_without_names_all_of_the_queue_go(
        self, broker: Broker, consumer: Consumer, make_consumer: MakeConsumer
    ) -> None:
        await bury_many(broker, consumer, 1200)
        other = await bury(broker, make_consumer("mail:other"), queue="mail:other")
        assert await broker.purge(QUEUE) == 1200
        assert await letter_ids(broker) == []
        assert await broker.purge(QUEUE) == 0
        assert await letter_ids(broker, "mail:other") == [other]

    async def test_those_of_another_queue_stay(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        other = await bury(broker, make_consumer("mail:other"), queue="mail:other")
        assert await broker.purge(QUEUE, [other]) == 0
        assert await letter_ids(broker, "mail:other") == [other]

    @pytest.mark.parametrize("is_named", [True, False])
    async def test_the_younger_ones_stay(
        self, broker: Broker, consumer: Consumer, is_named: bool
    ) -> None:
        old = await bury(broker, consumer)
        assert await broker.purge(QUEUE, [old] if is_named else None, older_than=3600.0) == 0

        async def purged() -> int:
            ids = [*await letter_ids(broker), "nobody"] if is_named else None
            return await broker.purge(QUEUE, ids, older_than=0.05)

        assert await eventually(purged) == 1
        young = await bury(broker, consumer)
        assert await broker.purge(QUEUE, [young] if is_named else None, older_than=3600.0) == 0
        assert await letter_ids(broker) == [young]

    async def test_a_living_task_of_the_same_id_stays(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker, id="same")
        await fail(broker, await claim_one(broker, consumer), result_ttl=0.0)
        await publish(broker, id="same")
        assert await broker.purge(QUEUE) == 1
        assert await claim_ids(consumer, 10) == ["same"]
