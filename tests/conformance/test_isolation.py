"""A task that its workers died under runs in small isolation: its neighbours do not die with it."""

import asyncio
import operator
from collections.abc import Sequence
from functools import partial

import pytest

import ltq
from ltq import Status, Worker
from ltq._declared import DeclaredTask
from ltq.broker import Broker, Consumer, isolation_of
from ltq.message import Finish
from ltq.options import DEFAULT_MAX_DELIVERIES
from tests.conformance.conftest import MakeConsumer
from tests.conformance.factories import QUEUE, claim_ids, make_envelope, publish, publish_many
from tests.eventually import eventually


async def die(broker: Broker, make_consumer: MakeConsumer, ids: Sequence[str]) -> None:
    """Let a worker die under these tasks, the only ones that are ready."""
    assert sorted(await claim_ids(make_consumer(lease=0.05), len(ids))) == sorted(ids)
    recovered = 0

    async def all_are_back() -> bool:
        nonlocal recovered
        recovered += (await broker.sweep([QUEUE])).recovered
        return recovered == len(ids)

    await eventually(all_are_back, description="the end of the leases")


class TestRule:
    def test_who_never_killed_may_run_with_any_number(self) -> None:
        assert isolation_of(0) is None
        assert isolation_of(0, 1) is None

    def test_it_grows_smaller_with_each_death(self) -> None:
        assert [isolation_of(deaths) for deaths in (1, 2, 3, 4)] == [1000, 100, 10, 1]
        assert [isolation_of(deaths, 3) for deaths in (1, 2)] == [10, 1]
        assert isolation_of(1, 2) == 1

    def test_it_is_never_nobody(self) -> None:
        assert isolation_of(DEFAULT_MAX_DELIVERIES + 3) == 1


class TestClaim:
    async def test_a_new_task_joins_any_number(self, broker: Broker, consumer: Consumer) -> None:
        ids = await publish_many(broker, 20)
        claim = await consumer.claim(20, 1000)
        assert [delivery.lease.id for delivery in claim.deliveries] == ids
        assert {delivery.isolation for delivery in claim.deliveries} == {None}
        assert claim.isolation is None

    async def test_before_the_death_that_would_bury_it_it_runs_alone(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        ids = await publish_many(broker, 2, max_deliveries=2)
        await die(broker, make_consumer, ids)
        consumer = make_consumer()
        claim = await consumer.claim(10, 1)
        assert (claim.deliveries, claim.isolation) == ([], 1)
        (one,) = (await consumer.claim(10)).deliveries
        (other,) = (await consumer.claim(10)).deliveries
        assert {one.lease.id, other.lease.id} == set(ids)
        assert one.isolation == other.isolation == 1

    async def test_before_that_it_runs_among_ten(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await die(broker, make_consumer, await publish_many(broker, 12, max_deliveries=3))
        consumer = make_consumer()
        assert len((await consumer.claim(20, 7)).deliveries) == 3
        claim = await consumer.claim(20, 10)
        assert (claim.deliveries, claim.isolation) == ([], 10)
        assert len((await consumer.claim(20)).deliveries) == 9

    async def test_new_ones_join_it_only_so_far(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=3)
        await die(broker, make_consumer, [old.id])
        new = await publish_many(broker, 20)
        assert await claim_ids(make_consumer(), 20) == [old.id, *new[:9]]

    async def test_what_is_not_given_stays_where_it_was(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=2)
        await die(broker, make_consumer, [old.id])
        new = await publish_many(broker, 3)
        consumer = make_consumer()
        assert (await consumer.claim(10, 5)).deliveries == []
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.working) == (4, 0)
        assert await claim_ids(consumer, 10) == [old.id]
        assert await claim_ids(consumer, 10) == new

    async def test_one_that_waits_for_it_holds_up_its_own_lane_only(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=2)
        await die(broker, make_consumer, [old.id])
        other = await publish(broker, queue="mail:other", task_name="mail:other")
        claim = await make_consumer(QUEUE, "mail:other").claim(10, 5)
        assert [delivery.lease.id for delivery in claim.deliveries] == [other.id]
        assert claim.isolation == 1

    @pytest.mark.parametrize(("running", "given"), [(2, 8), (0, 10), (None, 20)])
    async def test_what_comes_from_other_namespaces_keeps_to_it(
        self, running: int | None, given: int, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        old = await publish(broker, max_deliveries=3)
        await die(broker, make_consumer, [old.id])
        await publish_many(broker, 40, queue="bank:pay", task_name="bank:pay")
        consumer = make_consumer(QUEUE, "bank:pay")
        ignored = running is None
        claims = [
            (await consumer.claim(20, running or 0, ignore_isolation=ignored)).deliveries
            for _ in range(2)
        ]
        (with_old,) = [given for given in claims if old.id in {one.lease.id for one in given}]
        assert len(with_old) == given

    async def test_replayed_it_begins_anew(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        task = await publish(broker, max_deliveries=2)
        await die(broker, make_consumer, [task.id])
        (delivery,) = (await make_consumer().claim(1)).deliveries
        await broker.finish([Finish(delivery.lease, Status.FAILED, dead=True)])
        await broker.replay(QUEUE, [task.id])
        (delivery,) = (await make_consumer().claim(1, 50)).deliveries
        assert (delivery.deaths, delivery.isolation) == (0, None)


class TestWorker:
    @pytest.fixture
    def worker(self, broker: Broker) -> Worker:
        return Worker("mail", broker=broker, concurrency=10, lease=5.0, shutdown_timeout=5.0)

    async def test_it_lets_others_end_first(
        self, broker: Broker, make_consumer: MakeConsumer, worker: Worker
    ) -> None:
        gates = {number: asyncio.Event() for number in range(4)}
        running: set[int] = set()
        together: dict[int, set[int]] = {}

        @worker.task(queue=QUEUE)
        async def send(number: int) -> None:
            running.add(number)
            for other in running:
                together.setdefault(other, set()).update(running)
            await gates[number].wait()
            running.discard(number)

        (suspect,) = await make_suspects(broker, make_consumer, send, 0)
        busy = [await send.with_options(priority="high").send(number) for number in (1, 2)]
        async with worker:
            await eventually(lambda: running == {1, 2})
            late = await send.send(3)
            gates[1].set()
            await busy[0].wait(5)
            assert (await suspect.state()).status is Status.PENDING
            gates[2].set()
            await eventually(lambda: running == {0})
            assert (await late.state()).status is Status.PENDING
            gates[0].set()
            gates[3].set()
            assert (await late.wait(5)).status is Status.COMPLETED
        assert together[0] == {0}

    async def test_it_does_not_wait_for_ever(
        self,
        broker: Broker,
        make_consumer: MakeConsumer,
        worker: Worker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("ltq._worker.isolation.ISOLATION", 0.1)
        gate = asyncio.Event()
        running: set[int] = set()

        @worker.task(queue=QUEUE)
        async def send(number: int) -> None:
            running.add(number)
            await gate.wait()

        await make_suspects(broker, make_consumer, send, 0)
        await send.with_options(priority="high").send(1)
        async with worker:
            await eventually(lambda: running == {0, 1})
            await send.send(2)
            await eventually(lambda: running == {0, 1, 2})
            gate.set()

    async def test_others_that_keep_coming_do_not_keep_it_from_running(
        self,
        broker: Broker,
        make_consumer: MakeConsumer,
        worker: Worker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("ltq._worker.isolation.ISOLATION", 0.2)
        gates: dict[int, asyncio.Event] = {}
        running: set[int] = set()

        @worker.task(queue=QUEUE)
        async def send(number: int) -> None:
            running.add(number)
            await gates.setdefault(number, asyncio.Event()).wait()

        suspects = await make_suspects(broker, make_consumer, send, 0, 1, 2)
        high = send.with_options(priority="high")
        await high.send(100)
        async with worker:
            await eventually(lambda: 100 in running)
            for number in range(101, 110):
                await high.send(number)
                await eventually(partial(operator.contains, running, number))
                gates[number].set()  # while the first one goes on
            await eventually(lambda: {0, 1, 2} <= running)
            for gate in gates.values():
                gate.set()
        assert {(await suspect.state()).status for suspect in suspects} == {Status.COMPLETED}

    async def test_a_burst_runs_them_one_after_the_other(
        self, broker: Broker, make_consumer: MakeConsumer, worker: Worker
    ) -> None:
        most = 0
        running: set[int] = set()

        @worker.task(queue=QUEUE, max_deliveries=2)
        async def send(number: int) -> None:
            nonlocal most
            running.add(number)
            most = max(most, len(running))
            await asyncio.sleep(0)  # the task's own time
            running.discard(number)

        handles = [await send.send(number) for number in range(5)]
        await die(broker, make_consumer, [handle.id for handle in handles])
        await worker.run(burst=True)
        states = [await handle.state() for handle in handles]
        assert {state.status for state in states} == {Status.COMPLETED}
        assert most == 1


async def make_suspects(
    broker: Broker, make_consumer: MakeConsumer, task: ltq.Task[[int], None], *numbers: int
) -> list[ltq.Handle[None]]:
    """Tasks that one more death would bury."""
    bodies = [DeclaredTask.of(task).codec.encode_call((number,), {}) for number in numbers]
    envelopes = [
        make_envelope(queue=QUEUE, task_name=task.name, body=body, max_deliveries=2)
        for body in bodies
    ]
    await broker.publish(envelopes)
    await die(broker, make_consumer, [envelope.id for envelope in envelopes])
    return [task.handle(envelope.id) for envelope in envelopes]
