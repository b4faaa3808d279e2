"""What a store keeps of workflows: endings, and what arrives at tasks that wait."""

import pytest

from ltq.broker import Broker
from ltq.broker.flows import FAILED, HELD, NOTE, Arrival, Arrived, Ready, ending_key
from ltq.errors import ConfigurationError
from ltq.message import Failure, Finish
from ltq.state import Status
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    publish,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

CTX = b'{"a":1,"ltq.flow":{"queue":"mail:send","end":"x"}}'
OUTLINE = b'{"ltq.flow":{"queue":"mail:send","end":"x"},"ltq.nodes":{"queues":[]}}'
TTL = 60.0


async def hold(broker: Broker, **fields: object) -> str:
    """Send a task that waits for others. Returns its id."""
    given = {"eta": HELD, "ctx": CTX, "body": b"recipe", "result_ttl": TTL, **fields}
    return (await publish(broker, **given)).id


async def status_of(broker: Broker, task_id: str) -> Status:
    """Its status."""
    return (await broker.state(QUEUE, task_id)).status


class TestEndings:
    @pytest.mark.parametrize("ttl", [60.0, 0.0])
    async def test_a_task_of_a_workflow_leaves_an_ending(
        self, broker: Broker, make_consumer: MakeConsumer, ttl: float
    ) -> None:
        await publish(broker, ctx=CTX, serializer="msgpack")
        delivery = await claim_one(broker, make_consumer())
        outcome = Finish(delivery.lease, Status.COMPLETED, b"\xff\n7", result_ttl=ttl)
        await broker.finish([outcome])
        (ending,) = await broker.endings(QUEUE)
        lease = delivery.lease
        assert (ending.key, ending.id) == (ending_key(lease.id, lease.token), lease.id)
        assert (ending.queue, ending.status, ending.ctx) == (QUEUE, Status.COMPLETED, CTX)
        assert (ending.result, ending.serializer, ending.body) == (b"\xff\n7", "json", b"")
        assert ending.time == pytest.approx(await broker.time(), abs=2.0)
        await broker.finish([outcome])  # a repeated call
        await broker.carried(QUEUE, [ending.key, "nobody 1"])
        assert await broker.endings(QUEUE) == []

    async def test_another_task_leaves_none(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker, ctx=b'{"flow":"ltq.flow"}')
        delivery = await claim_one(broker, make_consumer())
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert await broker.endings(QUEUE) == []

    @pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
    async def test_so_does_one_that_fails_and_its_replay(
        self, broker: Broker, make_consumer: MakeConsumer, status: Status
    ) -> None:
        consumer = make_consumer()
        await publish(broker, ctx=CTX)
        lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Finish(lease, status, failure=Failure("", "no"), dead=True)])
        (first,) = await broker.endings(QUEUE)
        await broker.replay(QUEUE, [lease.id])
        again = await claim_one(broker, consumer)
        assert again.ctx == CTX
        await broker.finish([Finish(again.lease, Status.COMPLETED, b"1")])
        second = [one for one in await broker.endings(QUEUE) if one.key != first.key]
        assert [one.status for one in second] == [Status.COMPLETED]
        assert first.status is status

    async def test_so_does_one_that_is_cancelled_cleared_or_buried(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        buried = await publish(broker, ctx=CTX, max_deliveries=1)
        await lose(broker, await claim_one(broker, make_consumer(lease=0.05)))
        cancelled = await publish(broker, ctx=CTX)
        await broker.cancel(QUEUE, cancelled.id, TTL)
        cleared = await publish(broker, ctx=CTX)
        await broker.clear(QUEUE)
        statuses = {one.id: one.status for one in await broker.endings(QUEUE)}
        assert statuses == {
            buried.id: Status.REJECTED,
            cancelled.id: Status.CANCELLED,
            cleared.id: Status.CANCELLED,
        }

    async def test_only_so_many_and_only_old_ones_are_read(self, broker: Broker) -> None:
        for _ in range(3):
            envelope = await publish(broker, ctx=CTX)
            await broker.cancel(QUEUE, envelope.id, TTL)
        assert len(await broker.endings(QUEUE, limit=2)) == 2
        assert await broker.endings(QUEUE, older_than=60.0) == []
        assert len(await broker.endings(QUEUE)) == 3


class TestHeld:
    async def test_a_task_that_waits_for_others_is_delayed_without_a_due_time(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task_id = await hold(broker)
        state = await broker.state(QUEUE, task_id)
        assert (state.status, state.due_time) == (Status.DELAYED, None)
        assert await claim_ids(make_consumer(), 10) == []
        assert await broker.promote(QUEUE, [task_id]) == 0
        held = await broker.held(QUEUE, task_id, [0])
        assert held is not None
        assert (held.status, held.body, held.ctx) == (Status.DELAYED, b"recipe", CTX)
        assert (held.slots, held.count, held.serializer) == ({}, None, "json")
        assert await broker.held(QUEUE, (await publish(broker)).id, []) is None
        assert await broker.held(QUEUE, "nobody", []) is None

    async def test_it_runs_with_its_arguments_once_these_are_there(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task_id = await hold(broker)
        arrivals = [Arrival(task_id, 1, 2, b"b\xff"), Arrival(task_id, 0, 2, b"a")]
        assert await broker.arrive(QUEUE, arrivals) == [Arrived.WAITING, Arrived.FULL]
        assert await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, b"x")]) == [Arrived.FULL]
        held = await broker.held(QUEUE, task_id, [0, 1, 2])
        assert held is not None
        assert held.slots == {0: b"=a", 1: b"=b\xff"}
        assert await broker.go_on(QUEUE, task_id, Ready(body=b"[[1],{}]"))
        assert not await broker.go_on(QUEUE, task_id, Ready(body=b"other"))
        assert await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, b"x")]) == [Arrived.ENDED]
        delivery = await claim_one(broker, make_consumer())
        assert (delivery.lease.id, delivery.body, delivery.ctx) == (task_id, b"[[1],{}]", CTX)
        assert delivery.dequeue_time - delivery.enqueue_time < 5.0
        assert (await broker.stats([QUEUE]))[0].delayed == 0

    async def test_a_consumer_that_waits_is_woken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task_id, consumer = await hold(broker), make_consumer()
        assert await claim_ids(consumer, 1) == []
        await broker.go_on(QUEUE, task_id, Ready(body=b"{}"))
        assert (await claim_one(broker, consumer)).lease.id == task_id

    async def test_or_it_is_completed_with_a_result(self, broker: Broker) -> None:
        task_id = await hold(broker, serializer="msgpack")
        assert await broker.go_on(QUEUE, task_id, Ready(result=b"\x90"))
        state = await broker.wait(QUEUE, task_id, timeout=5.0)
        assert (state.status, state.result, state.serializer) == (
            Status.COMPLETED,
            b"\x90",
            "msgpack",
        )
        (ending,) = await broker.endings(QUEUE)
        assert (ending.key, ending.result) == (ending_key(task_id, 0), b"\x90")
        assert ending.serializer == "msgpack"

    async def test_or_it_is_rejected(self, broker: Broker) -> None:
        task_id = await hold(broker)
        assert await broker.go_on(QUEUE, task_id, Ready(failure=Failure("", "no list")))
        state = await broker.state(QUEUE, task_id)
        assert (state.status, state.error) == (Status.REJECTED, "no list")
        assert (await broker.endings(QUEUE))[0].status is Status.REJECTED

    async def test_what_waits_on_lets_its_ending_go(self, broker: Broker) -> None:
        ended = await publish(broker, ctx=CTX)
        await broker.cancel(QUEUE, ended.id, TTL)
        (ending,) = await broker.endings(QUEUE)
        task_id = await hold(broker)
        last = Arrival(task_id, 1, 2, b"1", ending=ending.key)
        assert await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, b"0"), last]) == [
            Arrived.WAITING,
            Arrived.FULL,
        ]
        assert await broker.endings(QUEUE) == [ending]
        other = await hold(broker)
        assert await broker.arrive(QUEUE, [Arrival(other, 1, 2, b"1", ending=ending.key)]) == [
            Arrived.WAITING
        ]
        assert await broker.endings(QUEUE) == []

    async def test_what_is_cleared_leaves_nothing_in_its_slots(self, broker: Broker) -> None:
        task_id = await hold(broker)
        await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, b"0")])
        assert await broker.clear(QUEUE) == 1
        assert await broker.held(QUEUE, task_id, [0]) is None
        await hold(broker, id=task_id)
        task = await broker.held(QUEUE, task_id, [0])
        assert task is not None
        assert (task.slots, task.count) == ({}, None)

    async def test_wrong_names_are_refused(self, broker: Broker) -> None:
        for call in (
            lambda: broker.endings("no queue"),
            lambda: broker.held(QUEUE, "no id!", []),
            lambda: broker.arrive(QUEUE, [Arrival("no id!", 0, 1)]),
            lambda: broker.cancel_each(QUEUE, ["no id!"], TTL),
            lambda: broker.restart(QUEUE, ["no id!"], held=False),
        ):
            with pytest.raises(ConfigurationError):
                await call()


class TestStopped:
    async def test_a_task_is_cancelled_if_something_fails_that_it_needs(
        self, broker: Broker
    ) -> None:
        task_id = await hold(broker)
        assert await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, failed=True)]) == [
            Arrived.STOPPED
        ]
        assert await status_of(broker, task_id) is Status.CANCELLED
        (ending,) = await broker.endings(QUEUE)
        assert (ending.status, ending.body) == (Status.CANCELLED, b"recipe")
        arrivals = [Arrival(task_id, 1, 2, b"b"), Arrival(task_id, 0, 2, b"a")]
        assert await broker.arrive(QUEUE, arrivals) == [Arrived.STOPPED, Arrived.STOPPED]
        late = [Arrival(task_id, 0, 2, failed=True)]
        assert await broker.arrive(QUEUE, late) == [Arrived.STOPPED]
        held = await broker.held(QUEUE, task_id, [0, 1])
        assert held is not None
        assert (held.status, held.slots) == (Status.CANCELLED, {0: b"=a", 1: b"=b"})

    async def test_it_waits_again_if_that_comes_after_all(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task_id = await hold(broker)
        failed = [Arrival(task_id, slot, 2, failed=True) for slot in (0, 1)]
        assert await broker.arrive(QUEUE, failed) == [Arrived.STOPPED] * 2
        first = Arrival(task_id, 0, 2, b"a", revives=True)
        assert await broker.arrive(QUEUE, [first]) == [Arrived.STOPPED]
        held = await broker.held(QUEUE, task_id, [0, 1])
        assert held is not None
        assert held.slots == {0: b"=a", 1: FAILED}
        assert await broker.arrive(QUEUE, [Arrival(task_id, 1, 2, b"b", revives=True)]) == [
            Arrived.FULL
        ]
        assert await status_of(broker, task_id) is Status.DELAYED
        assert await broker.go_on(QUEUE, task_id, Ready(body=b"{}"))
        assert (await claim_one(broker, make_consumer())).lease.id == task_id

    async def test_what_has_come_does_not_fail_any_more(self, broker: Broker) -> None:
        task_id = await hold(broker)
        assert await broker.arrive(QUEUE, [Arrival(task_id, 0, 2, b"a")]) == [Arrived.WAITING]
        late = [Arrival(task_id, 0, 2, failed=True)]
        assert await broker.arrive(QUEUE, late) == [Arrived.WAITING]
        assert await status_of(broker, task_id) is Status.DELAYED

    async def test_what_was_cancelled_is_sent_again_under_its_id(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        waiting, task_id = await hold(broker), (await publish(broker, ctx=CTX, body=b"b")).id
        other = (await publish(broker)).id
        note = Arrival(waiting, NOTE, 0, b"why")
        assert (
            await broker.arrive(QUEUE, [note, Arrival(waiting, 0, 2, b"a")])
            == [Arrived.WAITING] * 2
        )
        ids = [waiting, task_id, other]
        assert await broker.cancel_each(QUEUE, [*ids, "nobody"], TTL) == 3
        assert await broker.cancel_each(QUEUE, ids, TTL) == 0
        assert {one.id for one in await broker.endings(QUEUE)} == {waiting, task_id}
        assert await broker.restart(QUEUE, [waiting], held=True) == 1
        assert await broker.restart(QUEUE, [task_id, other, "nobody"], held=False) == 1
        held = await broker.held(QUEUE, waiting, [NOTE, 0])
        assert held is not None
        assert (held.status, held.slots) == (Status.DELAYED, {0: b"=a"})
        delivery = await claim_one(broker, consumer)
        assert (delivery.lease.id, delivery.body, delivery.ctx) == (task_id, b"b", CTX)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        assert await status_of(broker, task_id) is Status.COMPLETED
        assert await status_of(broker, other) is Status.CANCELLED

    async def test_running_tasks_are_told(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        revoked: list[str] = []
        consumer = make_consumer(revoked=revoked.append)
        await publish(broker)
        lease = (await claim_one(broker, consumer)).lease
        assert await broker.cancel_each(QUEUE, [lease.id], TTL) == 1
        lost = await broker.heartbeat([lease], 5.0)
        assert lost == [lease]
        await eventually(lambda: revoked == [lease.id] or lost, description="the news")


class TestReadCtx:
    @pytest.mark.parametrize("ctx", [OUTLINE, CTX, b""])
    async def test_it_is_told_until_the_end_and_an_outline_longer(
        self, broker: Broker, make_consumer: MakeConsumer, ctx: bytes
    ) -> None:
        task_id = (await publish(broker, ctx=ctx)).id
        assert await broker.ctx(QUEUE, task_id) == ctx
        lease = (await claim_one(broker, make_consumer())).lease
        assert await broker.ctx(QUEUE, task_id) == ctx
        await broker.finish([Finish(lease, Status.COMPLETED, b"1", result_ttl=60.0)])
        assert await broker.ctx(QUEUE, task_id) == (ctx if ctx == OUTLINE else b"")
        assert await broker.body(QUEUE, task_id) is None
        assert await broker.ctx(QUEUE, "nobody") is None

    async def test_an_outline_is_kept_whatever_the_end_is(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        cancelled = (await publish(broker, ctx=OUTLINE)).id
        await broker.cancel(QUEUE, cancelled, 60.0)
        assert await broker.ctx(QUEUE, cancelled) == OUTLINE
        failed = (await publish(broker, ctx=OUTLINE, keep_body=False)).id
        lease = (await claim_one(broker, consumer)).lease
        failure = Failure("", "no")
        await broker.finish([Finish(lease, Status.FAILED, failure=failure, result_ttl=60.0)])
        assert await broker.ctx(QUEUE, failed) == OUTLINE
