"""Results that arrive in the step in which their tasks end."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import pytest

from ltq.broker import Broker
from ltq.broker.flows import FAILED, Arrival, ArrivalCount, Arrived, Ending, pack_follow
from ltq.errors import RerunError
from ltq.message import ELEMENT, Failure, Finish, Lease, Outcome, Receipt, Requeue, Waiter
from ltq.state import Progress, Status
from ltq.testing.conformance._flows.kept import CTX, TTL, hold, status_of
from ltq.testing.conformance._support.factories import QUEUE, make_envelope, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer


async def claim_elements(
    broker: Broker, consumer: MakeConsumer, task_id: str, count: int
) -> list[Lease]:
    """Send elements of a map, and claim them."""
    for number in range(count):
        await publish(broker, id=f"{task_id}.{number}", ctx=CTX)
    return [one.lease for one in (await consumer().claim(count)).deliveries]


def completed(leases: Sequence[Lease], waiter: Waiter, ttl: float = TTL) -> list[Finish]:
    """Outcomes with results, for what waits for them."""
    return [
        Finish(lease, Status.COMPLETED, b"%d" % number, result_ttl=ttl, flow=CTX, waiter=waiter)
        for number, lease in enumerate(leases)
    ]


async def carry_all(broker: Broker, waiter: Waiter, outcomes: Sequence[Finish]) -> list[Arrived]:
    """What whoever carries on does: let them arrive, and remove their endings."""
    arrivals = [
        Arrival(waiter.id, int(one.id.rpartition(".")[2]), waiter.of, one.result, ending=one.key)
        for one in map(Ending.of, outcomes)
    ]
    return await broker.arrive(QUEUE, arrivals)


class TestEarlyArrivals:
    @pytest.mark.parametrize("ttl", [TTL, 0.0])
    async def test_a_result_may_arrive_in_the_step_of_its_outcome(
        self, broker: Broker, make_consumer: MakeConsumer, ttl: float
    ) -> None:
        waiter = Waiter(await hold(broker), ELEMENT, 4)
        leases = await claim_elements(broker, make_consumer, waiter.id, 3)
        outcomes = completed(leases, waiter, ttl)
        receipts = await broker.finish(outcomes)
        assert all(receipt.is_recorded for receipt in receipts)
        left = {one.id for one in await broker.endings(QUEUE)}
        arrived = [
            lease.id for lease, one in zip(leases, receipts, strict=True) if one is Receipt.ARRIVED
        ]
        assert left == {lease.id for lease in leases} - {*arrived}
        assert await broker.finish(outcomes) == [Receipt.OK] * 3  # a repeated call
        assert await carry_all(broker, waiter, outcomes) == [Arrived.WAITING] * 3
        held = await broker.held(QUEUE, waiter.id, range(4))
        assert held is not None
        assert held.slots == {0: b"=0", 1: b"=1", 2: b"=2"}
        assert held.count == ArrivalCount(4, 3, 0)
        assert await broker.endings(QUEUE) == []
        states = await broker.states(QUEUE, [lease.id for lease in leases])
        kept = [None if state is None else (state.status, state.result) for state in states]
        done = Status.COMPLETED
        assert kept == ([(done, b"0"), (done, b"1"), (done, b"2")] if ttl else [None] * 3)

    async def test_the_last_one_leaves_an_ending(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        waiter = Waiter(await hold(broker), ELEMENT, 3)
        leases = await claim_elements(broker, make_consumer, waiter.id, 3)
        outcomes = completed(leases, waiter)
        receipts = await broker.finish(outcomes)
        assert receipts[-1] is Receipt.OK
        assert leases[-1].id in [one.id for one in await broker.endings(QUEUE)]
        assert await status_of(broker, waiter.id) is Status.DELAYED
        assert (await carry_all(broker, waiter, outcomes))[-1] is Arrived.FULL

    async def test_so_does_what_has_no_place_or_is_waited_for_no_longer(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        cancelled, failed = await hold(broker), await hold(broker)
        await broker.cancel(QUEUE, cancelled, TTL)
        taken = await hold(broker)
        await broker.arrive(QUEUE, [Arrival(taken, 0, 9, b"first"), Arrival(failed, 3, 9, b"x")])
        await broker.arrive(QUEUE, [Arrival(failed, 0, 9, failed=True)])
        for task_id in (cancelled, failed, taken, "nobody"):
            waiter = Waiter(task_id, ELEMENT, 9)
            leases = await claim_elements(broker, make_consumer, task_id, 1)
            assert await broker.finish(completed(leases, waiter)) == [Receipt.OK]
            assert f"{task_id}.0" in [one.id for one in await broker.endings(QUEUE)]
        held = await broker.held(QUEUE, taken, [0])
        assert held is not None
        assert (held.slots, held.count) == ({0: b"=first"}, ArrivalCount(9, 1, 0))
        held = await broker.held(QUEUE, failed, [0])
        assert held is not None
        assert (held.slots, held.count) == ({0: FAILED}, ArrivalCount(9, 1, 1))

    async def test_only_a_run_that_completes_has_a_result(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        waiter = Waiter(await hold(broker), ELEMENT, 9)
        leases = await claim_elements(broker, make_consumer, waiter.id, 4)
        failed, follows, again, lost = leases
        follow = pack_follow([make_envelope()])
        outcomes: list[Outcome] = [
            Finish(failed, Status.FAILED, failure=Failure("", "no"), flow=CTX, waiter=waiter),
            Finish(follows, Status.COMPLETED, b"1", flow=CTX, follow=follow, waiter=waiter),
            Requeue(again),
            Finish(
                Lease(lost.id, lost.queue, lost.token + 1), Status.COMPLETED, b"1", waiter=waiter
            ),
        ]
        ok = Receipt.OK
        assert await broker.finish(outcomes) == [ok, ok, ok, Receipt.STALE]
        assert {one.id for one in await broker.endings(QUEUE)} == {failed.id, follows.id}
        held = await broker.held(QUEUE, waiter.id, range(9))
        assert held is not None
        assert (held.slots, held.count) == ({}, None)

    async def test_slots_may_be_named_and_tasks_may_wait_beside_one_another(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        first, second = await hold(broker), await hold(broker)
        waiters = [Waiter(first, 1, 3), Waiter(second, 0, 2), Waiter(first, 1, 3)]
        leases = await claim_elements(broker, make_consumer, "any", 4)
        plain = Finish(leases[3], Status.COMPLETED, b"3")
        outcomes = [
            Finish(lease, Status.COMPLETED, b"%d" % number, flow=CTX, waiter=waiter)
            for number, (lease, waiter) in enumerate(zip(leases, waiters, strict=False))
        ]
        receipts = await broker.finish([*outcomes[:2], plain, outcomes[2]])
        arrived = [receipt is Receipt.ARRIVED for receipt in receipts]
        assert arrived[2:] == [False, False]
        found = [await broker.held(QUEUE, task_id, [0, 1]) for task_id in (first, second)]
        slots = [None if held is None else held.slots for held in found]
        assert slots == [{1: b"=0"} if arrived[0] else {}, {0: b"=1"} if arrived[1] else {}]
        assert len(await broker.endings(QUEUE)) == 4 - sum(arrived)

    @pytest.mark.parametrize(
        "fields",
        [{}, {"result_ttl": TTL}, {"result_ttl": TTL, "timeout": 5.0}, {"keep_body": True}],
        ids=["plain", "ttl", "timeout", "kept"],
    )
    @pytest.mark.parametrize("shows", [False, True], ids=["quiet", "progress"])
    async def test_the_state_is_that_of_any_other_task(
        self, broker: Broker, make_consumer: MakeConsumer, fields: dict[str, Any], shows: bool
    ) -> None:
        waiter = Waiter(await hold(broker), ELEMENT, 9)
        other = await publish(broker, ctx=b'{"a":1}', **fields)
        sent = await publish(broker, id=f"{waiter.id}.0", ctx=CTX, **fields)
        deliveries = (await make_consumer().claim(2)).deliveries
        if shows:
            for delivery in deliveries:
                assert await broker.progress(delivery.lease, Progress(1, 2))
        assert [one.ctx for one in deliveries] == [b'{"a":1}', CTX]
        assert {one.result_ttl for one in deliveries} == {fields.get("result_ttl")}
        working = [await broker.state(QUEUE, one.id) for one in (other, sent)]
        outcomes = [
            Finish(one.lease, Status.COMPLETED, b"1", flow=flow, waiter=waiter if flow else None)
            for one, flow in zip(deliveries, (b"", CTX), strict=True)
        ]
        assert all(one.is_recorded for one in await broker.finish(outcomes))
        states = [await broker.state(QUEUE, one.id) for one in (other, sent)]
        for before, after in zip(working, states, strict=True):
            assert after.status is Status.COMPLETED
            assert after.last_dequeue_time == before.last_dequeue_time
            assert (after.progress, after.dequeue_count, after.result) == (None, 1, b"1")
        first, second = (asdict(state) for state in states)
        apart = {"id", "enqueue_time", "last_dequeue_time", "release_time"}
        assert {name for name in first if first[name] != second[name]} <= apart
        expectation = nullcontext() if "keep_body" in fields else pytest.raises(RerunError)
        with expectation:
            assert len(await broker.rerun(QUEUE, [other.id, sent.id])) == 2
