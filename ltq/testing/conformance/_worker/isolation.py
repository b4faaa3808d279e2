"""A worker gives room to a task that other workers died under."""

import asyncio
import operator
from functools import partial

import pytest

import ltq
from ltq import Status, Worker
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import QUEUE, lose_all, make_envelope
from ltq.testing.conformance._support.fixtures import MakeConsumer


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
    await lose_all(broker, make_consumer(lease=0.02), [envelope.id for envelope in envelopes])
    return [task.handle(envelope.id) for envelope in envelopes]


class TestIsolationInAWorker:
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
            await busy[0].wait(PATIENCE)
            assert (await suspect.state()).status is Status.PENDING
            gates[2].set()
            await eventually(lambda: running == {0})
            assert (await late.state()).status is Status.PENDING
            gates[0].set()
            gates[3].set()
            assert (await late.wait(PATIENCE)).status is Status.COMPLETED
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
        monkeypatch.setattr("ltq._worker.isolation.ISOLATION", 0.05)
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
        await lose_all(broker, make_consumer(lease=0.02), [handle.id for handle in handles])
        await worker.run(burst=True)
        states = [await handle.state() for handle in handles]
        assert {state.status for state in states} == {Status.COMPLETED}
        assert most == 1
