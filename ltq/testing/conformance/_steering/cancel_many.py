"""Cancelling many tasks of a queue at once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ltq.broker import Broker
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import Envelope, Finish, Receipt
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

OTHER = "mail:other"

CHOICES: dict[str, tuple[dict[str, Any], Callable[[Envelope], bool]]] = {
    "all": ({}, lambda one: True),
    "pending": ({"status": Status.PENDING}, lambda one: not one.delay),
    "delayed": ({"status": Status.DELAYED}, lambda one: bool(one.delay)),
    "of a task": ({"task_name": "mail:digest"}, lambda one: one.task_name == "mail:digest"),
    "with a tag": ({"tag": "tenant:7"}, lambda one: "tenant:7" in one.tags),
    "with a part of a tag": ({"tag": "tenant"}, lambda one: False),
    "old": ({"older_than": 3600}, lambda one: False),
    "new": ({"older_than": 0}, lambda one: True),
    "of a task with a tag": (
        {"task_name": "mail:digest", "tag": "tenant:8", "status": Status.DELAYED},
        lambda one: bool(one.delay) and one.task_name == "mail:digest" and "tenant:8" in one.tags,
    ),
}


async def publish_mixture(broker: Broker) -> list[Envelope]:
    return [
        await publish(broker, task_name=name, tags=tags, delay=delay, priority=priority)
        for name in (QUEUE, "mail:digest")
        for tags in ((), ("tenant:7",), ("tenant:77", "tenant:8"))
        for delay in (0.0, 60.0)
        for priority in (Priority.HIGH, Priority.NORMAL)
    ]


class TestCancelMany:
    @pytest.mark.parametrize("choice", CHOICES)
    async def test_it_cancels_what_is_meant_and_leaves_the_rest(
        self, broker: Broker, choice: str
    ) -> None:
        selection, is_meant = CHOICES[choice]
        sent = await publish_mixture(broker)
        elsewhere = await publish(broker, queue=OTHER)
        meant = [one.id for one in sent if is_meant(one)]
        assert await broker.cancel_many(QUEUE, **selection) == len(meant)
        states = await broker.states(QUEUE, [one.id for one in sent])
        cancelled = [state.id for state in states if state and state.status is Status.CANCELLED]
        assert cancelled == meant
        (stats,) = await broker.stats([QUEUE])
        assert stats.pending + stats.delayed == len(sent) - len(meant)
        assert (await broker.state(OTHER, elsewhere.id)).status is Status.PENDING
        assert await broker.cancel_many(QUEUE, **selection) == 0

    async def test_what_is_left_is_claimed_in_its_order(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = [(await publish(broker, tags=("odd",) if i % 2 else ())).id for i in range(40)]
        assert await broker.cancel_many(QUEUE, tag="odd") == 20
        assert await claim_ids(make_consumer(), 40) == ids[::2]

    async def test_many_are_cancelled_in_one_call(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 700)
        kept = await publish(broker, tags=("keep",))
        more = await publish_many(broker, 500, tags=("more",))
        assert await broker.cancel_many(QUEUE, tag="more") == len(more)
        assert await broker.cancel_many(QUEUE, tag="keep") == 1
        assert await broker.cancel_many(QUEUE) == len(ids)
        assert await claim_ids(make_consumer(), 10) == []
        assert (await broker.state(QUEUE, kept.id)).status is Status.CANCELLED
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.oldest) == (0, 0, None)

    async def test_tasks_may_come_and_go_meanwhile(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        kept = await publish_many(broker, 600)
        meant = [
            *await publish_many(broker, 600, tags=("meant",)),
            *await publish_many(broker, 600, tags=("meant",), delay=60.0),
        ]
        consumer = make_consumer()

        async def come_and_go() -> list[str]:
            claimed = await claim_ids(consumer, 30)
            await publish_many(broker, 30)
            await broker.promote(QUEUE, meant[600:610])
            return claimed + await claim_ids(consumer, 30)

        cancelled, claimed = await asyncio.gather(
            broker.cancel_many(QUEUE, tag="meant"), come_and_go()
        )
        assert cancelled == len(meant)
        assert claimed == kept[:60]
        states = await broker.states(QUEUE, meant)
        assert {state and state.status for state in states} == {Status.CANCELLED}
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed, stats.working) == (600 + 30 - 60, 0, 60)

    async def test_running_ones_are_cancelled_only_if_asked_for(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        revoked: list[str] = []
        await publish_many(broker, 2)
        consumer = make_consumer(revoked=revoked.append)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.cancel_many(QUEUE) == 1
        assert (await broker.state(QUEUE, lease.id)).status is Status.WORKING
        assert await broker.cancel_many(QUEUE, status=Status.WORKING) == 1
        await eventually(lambda: revoked == [lease.id])
        outcome = Finish(lease, Status.COMPLETED, b"1")
        assert await broker.finish([outcome]) == [Receipt.CANCELLED]

    async def test_the_states_are_kept_for_the_result_ttl_of_each(self, broker: Broker) -> None:
        kept, gone = await publish(broker), await publish(broker, result_ttl=0.0)
        assert await broker.cancel_many(QUEUE) == 2
        assert (await broker.state(QUEUE, kept.id)).status is Status.CANCELLED
        with pytest.raises(TaskNotFoundError):
            await broker.state(QUEUE, gone.id)

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"status": Status.COMPLETED}, "completed"),
            ({"status": "CANCELLED"}, "'CANCELLED'"),
            ({"task_name": "a b"}, "'a b'"),
            ({"tag": "a b"}, "'a b'"),
            ({"tag": ""}, "''"),
            ({"older_than": -1}, "-1"),
            ({"older_than": "1h"}, "'1h'"),
        ],
    )
    async def test_a_wrong_value_is_named(
        self, broker: Broker, wrong: dict[str, Any], named: str
    ) -> None:
        await publish(broker)
        with pytest.raises(ConfigurationError, match=named):
            await broker.cancel_many(QUEUE, **wrong)
        assert (await broker.stats([QUEUE]))[0].pending == 1
