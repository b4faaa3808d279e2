"""Replaying dead letters: their tasks are enqueued again."""

import asyncio
from collections import Counter

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import TaskNotFoundError
from ltq.message import Published, Receipt, Requeue
from ltq.options import Priority
from ltq.state import Status
from ltq.testing.conformance._seam.dead_letters import (
    FAILURE,
    bury,
    bury_many,
    dead_count,
    fail,
    letter_ids,
)
from ltq.testing.conformance._support.eventually import SOON
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
    started,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker


class TestReplay:
    async def test_the_task_is_there_again_as_it_was_sent(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        options = {"timeout": 7.0, "max_tries": 3, "result_ttl": 60.0, "ctx": b'{"a":1}'}
        await publish(broker, id="a1", task_name="mail:other", body=b"body", **options)
        before = await claim_one(broker, consumer)
        await broker.finish([Requeue(before.lease, failed=True, failure=FAILURE)])
        before = await claim_one(broker, consumer)
        await fail(broker, before)
        assert await broker.replay(QUEUE, ["a1"]) == [Published.CREATED]

        state = await broker.state(QUEUE, "a1")
        assert (state.status, state.task_name, state.queue) == (
            Status.PENDING,
            "mail:other",
            QUEUE,
        )
        assert (state.error, state.error_type, state.traceback) == (None, None, None)
        assert (state.release_time, state.result) == (None, None)
        again = await claim_one(broker, consumer)
        assert (again.body, again.ctx, again.task_name) == (b"body", b'{"a":1}', "mail:other")
        assert (again.timeout, again.max_tries, again.result_ttl) == (7.0, 3, 60.0)
        assert (again.tries, again.deaths) == (0, 0)
        assert again.enqueue_time > before.dequeue_time

    async def test_it_goes_on_counting_its_deliveries(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task_id = await bury(broker, consumer)
        await broker.replay(QUEUE, [task_id])
        assert (await broker.state(QUEUE, task_id)).dequeue_count == 1
        assert (await claim_one(broker, consumer)).dequeue_count == 2

    async def test_the_letter_goes(self, broker: Broker, consumer: Consumer) -> None:
        gone, other = [await bury(broker, consumer) for _ in range(2)]
        await broker.replay(QUEUE, [gone])
        assert await letter_ids(broker) == [other]
        assert await dead_count(broker) == 1
        with pytest.raises(TaskNotFoundError):
            await broker.dead_letter(None, gone)
        assert await broker.replay(QUEUE, [gone]) == [Published.GONE]

    async def test_it_waits_in_its_lane_with_its_priority(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        consumer = make_consumer(lane)
        high = await bury(broker, consumer, lane=lane, priority=Priority.HIGH)
        low = await bury(broker, consumer, lane=lane, priority=Priority.LOW)
        normal = await publish(broker, lane=lane)
        assert await broker.replay(QUEUE, [low, high]) == [Published.CREATED] * 2
        assert await claim_ids(make_consumer(QUEUE), 10) == []
        assert await claim_ids(consumer, 10) == [high, normal.id, low]

    async def test_one_that_was_delayed_is_ready_at_once(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task_id = await bury(broker, consumer, delay=0.02)
        await broker.replay(QUEUE, [task_id])
        assert await claim_ids(consumer, 1) == [task_id]

    async def test_its_deaths_begin_anew(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        consumer = make_consumer(lease=0.02)
        task = await publish(broker, max_deliveries=2)
        for _ in range(2):
            for status in (Status.PENDING, Status.REJECTED):
                await lose(broker, await claim_one(broker, consumer))
                assert (await broker.state(QUEUE, task.id)).status is status
            assert await broker.replay(QUEUE, [task.id]) == [Published.CREATED]

    async def test_an_outcome_of_its_former_life_is_stale(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer(lease=0.02)
        await publish(broker, id="a1", max_deliveries=1)
        paused = await claim_one(broker, consumer)
        await lose(broker, paused)
        await broker.replay(QUEUE, ["a1"])
        assert await broker.release(paused.lease, result=b"1") is Receipt.STALE
        again = await claim_one(broker, make_consumer())
        assert again.lease.token > paused.lease.token
        assert await broker.release(paused.lease, result=b"1") is Receipt.STALE
        assert await broker.release(again.lease, result=b"2") is Receipt.OK
        assert (await broker.state(QUEUE, "a1")).result == b"2"

    async def test_it_wakes_who_waits(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer)
        await consumer.claim(1)
        waiting = await started(broker, broker.claim(consumer, 1, timeout=SOON))
        await broker.replay(QUEUE, [task_id])
        (delivery,) = await waiting
        assert delivery.lease.id == task_id

    async def test_the_end_of_its_former_life_is_not_the_end_of_this_one(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task = await publish(broker)
        await fail(broker, await claim_one(broker, consumer), result_ttl=0.1)
        await broker.replay(QUEUE, [task.id])
        assert await claim_ids(consumer, 1) == [task.id]
        await publish(broker, delay=0.15)
        assert await broker.claim(
            consumer, 1, timeout=SOON
        )  # for as long as the old state was kept
        assert (await broker.state(QUEUE, task.id)).status is Status.WORKING

    async def test_it_can_be_followed_to_its_new_end(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        task_id = await bury(broker, consumer)
        await broker.replay(QUEUE, [task_id])
        states = broker.watch(QUEUE, task_id, timeout=SOON)
        assert (await anext(states)).status is Status.PENDING
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
        last = [state async for state in states][-1]
        assert (last.status, last.result, last.error) == (Status.COMPLETED, b"1", None)

    async def test_it_may_die_again(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer)
        for _ in range(2):
            await broker.replay(QUEUE, [task_id])
            await fail(broker, await claim_one(broker, consumer))
        (letter,) = await broker.dead_letters(QUEUE)
        assert (letter.id, letter.tries, letter.dequeue_count) == (task_id, 1, 3)
        assert letter.body == b"{}"

    @pytest.mark.parametrize("status", [Status.PENDING, Status.DELAYED, Status.WORKING])
    async def test_a_task_that_lives_is_not_there_twice(
        self, broker: Broker, consumer: Consumer, status: Status
    ) -> None:
        await publish(broker, id="same", body=b"old")
        await fail(broker, await claim_one(broker, consumer), result_ttl=0.0)
        delay = 30.0 if status is Status.DELAYED else 0.0
        await publish(broker, id="same", body=b"new", delay=delay)
        if status is Status.WORKING:
            await claim_one(broker, consumer)
        assert await broker.replay(QUEUE, ["same"]) == [Published.EXISTS]
        assert (await broker.state(QUEUE, "same")).status is status
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending + stats.delayed + stats.working, stats.dead) == (1, 1)
        assert (await broker.dead_letter(QUEUE, "same")).body == b"old"

    async def test_whatever_final_state_is_there_is_replaced(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker, id="same")
        await fail(broker, await claim_one(broker, consumer), result_ttl=0.0)
        await publish(broker, id="same")
        await broker.release((await claim_one(broker, consumer)).lease, result=b"1")
        assert await broker.replay(QUEUE, ["same"]) == [Published.CREATED]
        state = await broker.state(QUEUE, "same")
        assert (state.status, state.result) == (Status.PENDING, None)

    async def test_the_answers_are_in_the_order_of_the_ids(
        self, broker: Broker, consumer: Consumer, make_consumer: MakeConsumer
    ) -> None:
        first, second = [await bury(broker, consumer) for _ in range(2)]
        other = await bury(broker, make_consumer("mail:other"), queue="mail:other")
        assert await broker.replay(QUEUE, [second, "nobody", other, first, second]) == [
            Published.CREATED,
            Published.GONE,
            Published.GONE,
            Published.CREATED,
            Published.CREATED,
        ]
        assert await claim_ids(consumer, 10) == [second, first]
        assert await dead_count(broker, "mail:other") == 1

    async def test_no_ids_is_no_error(self, broker: Broker) -> None:
        assert await broker.replay(QUEUE, []) == []

    async def test_many_at_once_by_many_are_there_once_each(
        self, broker: Broker, consumer: Consumer, open_broker: OpenBroker
    ) -> None:
        ids = await bury_many(broker, consumer, 1200)
        answers = await asyncio.gather(
            *(each.replay(QUEUE, ids) for each in (broker, open_broker()))
        )
        for one, other in zip(*answers, strict=True):
            assert Counter((one, other)) == Counter((Published.CREATED, Published.GONE))
        assert await dead_count(broker) == 0
        assert (await broker.stats([QUEUE]))[0].pending == 1200
        claimed = [task_id for _ in range(3) for task_id in await claim_ids(consumer, 500)]
        assert sorted(claimed) == sorted(ids)
