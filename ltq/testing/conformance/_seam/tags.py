"""Tags of tasks; and their priority and failed runs, as states tell them."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, Consumer, ScheduleSlot
from ltq.errors import ConfigurationError
from ltq.message import Failure, Finish, Published, Requeue
from ltq.names import MAX_TAGS
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.eventually import SOON
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_one,
    lose,
    make_envelope,
    publish,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

TAGS = ("tenant:7", "Z9_.-:")
FAILURE = Failure("ValueError", "ValueError: text", "Traceback ...")

WRONG: list[Any] = [
    "tenant:7",
    b"tenant:7",
    None,
    7,
    ["tenant:7"],
    ("",),
    ("tenant 7",),
    ("tenant\n7",),
    ("tenant:7\n",),
    ("a/b",),
    ("ä",),
    ("a" * 65,),
    ("fine", 7),
    ("fine", None),
    ("a", "b", "a"),
    tuple(f"tag-{number}" for number in range(MAX_TAGS + 1)),
]
"""What is not allowed as the tags of an envelope."""


async def tags_of(broker: Broker, task_id: str) -> tuple[str, ...]:
    return (await broker.state(QUEUE, task_id)).tags


class TestTags:
    async def test_a_task_has_none_of_its_own(self, broker: Broker, consumer: Consumer) -> None:
        task = await publish(broker)
        assert await tags_of(broker, task.id) == ()
        assert (await claim_one(broker, consumer)).tags == ()

    async def test_they_stay_from_the_send_to_the_end(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task = await publish(broker, tags=TAGS)
        assert await tags_of(broker, task.id) == TAGS
        delivery = await claim_one(broker, consumer)
        assert delivery.tags == TAGS
        assert await tags_of(broker, task.id) == TAGS
        await broker.finish([Requeue(delivery.lease, failed=True, failure=FAILURE)])
        assert await tags_of(broker, task.id) == TAGS
        delivery = await claim_one(broker, consumer)
        assert delivery.tags == TAGS
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert await tags_of(broker, task.id) == TAGS
        found = await broker.find(task.id)
        assert found is not None
        assert found.tags == TAGS

    async def test_a_delayed_and_a_cancelled_task_has_them(self, broker: Broker) -> None:
        task = await publish(broker, tags=TAGS, delay=30.0)
        assert await tags_of(broker, task.id) == TAGS
        await broker.cancel(QUEUE, task.id, 60.0)
        assert await tags_of(broker, task.id) == TAGS

    async def test_so_has_one_whose_worker_died(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, tags=TAGS, max_deliveries=2)
        consumer = make_consumer(lease=0.02)
        await lose(broker, await claim_one(broker, consumer))
        assert await tags_of(broker, task.id) == TAGS
        await lose(broker, await claim_one(broker, consumer))
        assert (await broker.state(QUEUE, task.id)).status is Status.REJECTED
        assert await tags_of(broker, task.id) == TAGS
        assert (await broker.dead_letter(QUEUE, task.id)).tags == TAGS

    async def test_a_dead_letter_has_them_and_a_replay(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task, plain = await publish(broker, tags=TAGS), await publish(broker)
        for delivery in (await consumer.claim(2)).deliveries:
            failed = Finish(delivery.lease, Status.FAILED, failure=FAILURE, dead=True)
            await broker.finish([failed])
        letters = {letter.id: letter.tags for letter in await broker.dead_letters(QUEUE)}
        assert letters == {task.id: TAGS, plain.id: ()}
        assert await broker.replay(QUEUE, [task.id]) == [Published.CREATED]
        assert await tags_of(broker, task.id) == TAGS
        assert (await claim_one(broker, consumer)).tags == TAGS

    async def test_each_task_of_a_call_has_its_own(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = [(), ("a",), ("a", "b"), ("b", "a"), ("a",), ()]
        envelopes = [make_envelope(tags=tags) for tags in sent]
        await broker.publish(envelopes)
        states = await broker.states(QUEUE, [envelope.id for envelope in envelopes])
        assert [state and state.tags for state in states] == sent
        deliveries = (await consumer.claim(len(sent))).deliveries
        assert [delivery.tags for delivery in deliveries] == sent

    async def test_as_many_as_are_allowed(self, broker: Broker, consumer: Consumer) -> None:
        tags = tuple(f"{number:x}".rjust(64, "t") for number in range(MAX_TAGS))
        task = await publish(broker, tags=tags)
        assert await tags_of(broker, task.id) == tags
        assert (await claim_one(broker, consumer)).tags == tags

    async def test_the_task_of_a_slot_has_them(self, broker: Broker) -> None:
        envelope = make_envelope(tags=TAGS)
        slot = ScheduleSlot(schedule="daily", queue=QUEUE, spec="a", due=0)
        declared = await broker.fire(slot)
        now = int(await broker.time())
        due = replace(slot, after=declared.last, slot=now, due=now + 60, envelope=envelope)
        receipt = await broker.fire(replace(due, since=declared.since))
        assert receipt.published is Published.CREATED
        assert await tags_of(broker, envelope.id) == TAGS

    async def test_watchers_see_them(self, broker: Broker) -> None:
        task = await publish(broker, tags=TAGS)
        async with asyncio.timeout(SOON):
            state = await anext(broker.watch(QUEUE, task.id))
        assert state.tags == TAGS

    @pytest.mark.parametrize("tags", WRONG, ids=repr)
    async def test_with_wrong_ones_nothing_is_published(self, broker: Broker, tags: Any) -> None:
        wrong = make_envelope(tags=tags)
        for envelopes in ([wrong], [make_envelope(), wrong], [make_envelope(tags=TAGS), wrong]):
            with pytest.raises(ConfigurationError, match="tag"):
                await broker.publish(envelopes)
        assert await broker.queues() == []


class TestPriorityInAState:
    @pytest.mark.parametrize("priority", [*Priority])
    async def test_it_is_that_of_the_send(
        self, broker: Broker, consumer: Consumer, priority: Priority
    ) -> None:
        task = await publish(broker, priority=priority)
        assert (await broker.state(QUEUE, task.id)).priority is priority
        delivery = await claim_one(broker, consumer)
        assert (await broker.state(QUEUE, task.id)).priority is priority
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert (await broker.state(QUEUE, task.id)).priority is priority

    async def test_also_when_it_is_cancelled(self, broker: Broker) -> None:
        task = await publish(broker, priority=Priority.LOW, delay=30.0)
        await broker.cancel(QUEUE, task.id, 60.0)
        assert (await broker.state(QUEUE, task.id)).priority is Priority.LOW


class TestTriesInAState:
    async def test_they_are_the_runs_that_failed(self, broker: Broker, consumer: Consumer) -> None:
        task = await publish(broker)
        tries = [(await broker.state(QUEUE, task.id)).tries]
        outcomes: list[dict[str, Any]] = [
            {"failed": True, "failure": FAILURE},
            {"is_void": True, "front": True},
            {"failed": True, "failure": FAILURE},
        ]
        for outcome in outcomes:
            delivery = await claim_one(broker, consumer)
            await broker.finish([Requeue(delivery.lease, **outcome)])
            tries.append((await broker.state(QUEUE, task.id)).tries)
        assert tries == [0, 1, 1, 2]
        delivery = await claim_one(broker, consumer)
        assert (await broker.state(QUEUE, task.id)).tries == 2
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert (await broker.state(QUEUE, task.id)).tries == 2

    async def test_the_last_one_counts_if_it_failed(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        failed, rejected = await publish(broker), await publish(broker)
        for status in (Status.FAILED, Status.REJECTED):
            delivery = await claim_one(broker, consumer)
            await broker.finish([Finish(delivery.lease, status, failure=FAILURE, dead=True)])
        assert (await broker.state(QUEUE, failed.id)).tries == 1
        assert (await broker.state(QUEUE, rejected.id)).tries == 0
        await broker.replay(QUEUE, [failed.id])
        assert (await broker.state(QUEUE, failed.id)).tries == 0
