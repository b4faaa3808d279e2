"""Workers are told to stop, in every way and at every moment: in time, and nothing is lost."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import ltq
from devtools.ledger import Ledger
from devtools.proxy import Mode, Proxy
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.brokers.redis import RedisBroker
from ltq.state import Status
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.sent import STARTED, send_holds, started, states

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("broker")]

SHUTDOWN = 0.3

A_FEW = 5.0
"""Seconds the process around a worker may take to end: Python's own, on a busy machine."""

IN_TIME = SHUTDOWN + 2.0
"""Seconds from a signal to the stop of a worker that cannot get rid of what it has."""

BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    """One server for all tests here: it is emptied before each."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(admin: Any) -> None:
    admin.flushall()


async def were_put_back(handles: list[ltq.Handle[Any]]) -> None:
    """They wait, once each, with no try used up."""
    left = await states(handles)
    assert {state.status for state in left} == {Status.PENDING}
    assert {(state.dequeue_count, state.requeue_count) for state in left} == {(1, 1)}


async def have_ended(handles: list[ltq.Handle[Any]]) -> None:
    """They are completed, in one run each."""
    final = await states(handles)
    assert {state.status for state in final} == {Status.COMPLETED}
    assert {(state.dequeue_count, state.requeue_count) for state in final} == {(1, 0)}


class TestDraining:
    @pytest.mark.parametrize("number", BOTH)
    async def test_it_drains_and_exits_0(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, number: signal.Signals
    ) -> None:
        worker = await fleet.start(server.url)
        handles = await send_holds(5)
        await started(ledger, handles)
        worker.signal(number)
        await worker.logged("waiting for 5 running tasks")
        late = await jobs.double.send(1)
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await have_ended([*handles])
        assert (await late.state()).status is Status.PENDING

    async def test_100_tasks_that_end_in_time_run_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url)
        handles = await jobs.last.send_many([jobs.last.message(0.5) for _ in range(150)])
        await eventually(lambda: len(ledger.events("start")) == 100, STARTED)
        worker.signal(signal.SIGTERM)
        assert await worker.end(0.5 + A_FEW) == 0
        final = await states(handles)
        assert Counter(state.status for state in final) == {
            Status.COMPLETED: 100,
            Status.PENDING: 50,
        }
        assert {state.requeue_count for state in final} == {0}
        assert len(ledger.events("start")) == len(ledger.ids("end")) == 100

    async def test_in_the_middle_of_a_flood_nothing_runs_twice(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        count = 2000
        worker = await fleet.start(server.url)
        handles = await jobs.double.send_many([jobs.double.message(n) for n in range(count)])
        await eventually(lambda: ledger.ids("end"), STARTED)
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0
        done = len(ledger.events("start"))
        assert done < count, "it was told too late to show anything"
        assert Counter(state.status for state in await states(handles)) == {
            Status.COMPLETED: done,
            Status.PENDING: count - done,
        }
        heir = await fleet.start(server.url, "--burst")
        assert await heir.end(STARTED) == 0
        assert len(ledger.events("start")) == len(ledger.ids("end")) == count


class TestGivingBack:
    async def test_a_second_signal_requeues_at_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url)
        handles = await send_holds(5)
        await started(ledger, handles)
        worker.signal(signal.SIGTERM)
        await worker.logged("waiting for 5 running tasks")
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0
        await were_put_back([*handles])
        ledger.open("gate")
        heir = await fleet.start(server.url)
        assert {await handle.result(STARTED) for handle in handles} == {heir.pid}
        assert {event.attempt for event in ledger.events()} == {1}

    async def test_another_worker_has_them_within_a_second(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url, "--concurrency", "20", shutdown=SHUTDOWN)
        handles = await send_holds(20)
        await started(ledger, handles)
        heir = await fleet.start(server.url)
        await (await jobs.double.send(1)).result(STARTED)  # only the heir has free slots
        worker.signal(signal.SIGTERM)
        await worker.logged("requeueing 20 tasks")
        begin = asyncio.get_running_loop().time()
        await started(ledger, handles, 2)
        assert asyncio.get_running_loop().time() - begin <= 1.0
        ledger.open("gate")
        assert {await handle.result(STARTED) for handle in handles} == {heir.pid}


class TestStarting:
    @pytest.mark.parametrize("number", BOTH)
    async def test_a_signal_ends_it(
        self, server: RedisServer, fleet: Fleet, number: signal.Signals
    ) -> None:
        worker = await fleet.start(server.url)
        await worker.logged("worker faults:")
        worker.signal(number)
        assert await worker.end(A_FEW) == 0

    @pytest.mark.parametrize("mode", ["reset", "hole"])
    async def test_a_signal_ends_it_while_redis_is_away(
        self, server: RedisServer, fleet: Fleet, mode: Mode
    ) -> None:
        async with Proxy(server.port) as proxy:
            proxy.mode = mode
            worker = await fleet.start(proxy.url)
            await worker.logged("worker faults:")
            worker.signal(signal.SIGTERM)
            assert await worker.end(IN_TIME + 1.0) == 0


class TestStuck:
    """What does not end does not hold the process, and goes back to its queue."""

    @pytest.mark.parametrize(
        ("task", "count"),
        [
            pytest.param(jobs.snore, 3, id="threads"),
            pytest.param(jobs.swallow, 3, id="a task that swallows its cancellation"),
            pytest.param(jobs.snore_apart, 40, id="threads of the loop's own pool"),
        ],
    )
    async def test_it_ends_although_they_run(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        task: ltq.Task[[], None],
        count: int,
    ) -> None:
        worker = await fleet.start(server.url, shutdown=SHUTDOWN)
        handles = await task.send_many([task.message() for _ in range(count)])
        await started(ledger, handles)
        worker.signal(signal.SIGTERM)
        assert await worker.end(SHUTDOWN + A_FEW) == 0
        await were_put_back([*handles])


class TestRedisAway:
    @pytest.mark.parametrize("mode", ["reset", "hole"])
    async def test_it_ends_in_time(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, mode: Mode
    ) -> None:
        async with Proxy(server.port) as proxy:
            worker = await fleet.start(proxy.url, shutdown=SHUTDOWN, lease=2.0)
            handles = await send_holds(2)
            await started(ledger, handles)
            self._cut(proxy, mode)
            await elapse(0.5, "the worker has met the fault")
            worker.signal(signal.SIGTERM)
            await self._ends_in_time(worker)
        await self._goes_on(server, fleet, ledger, handles)

    async def test_it_ends_in_time_with_outcomes_that_cannot_be_written(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        async with Proxy(server.port) as proxy:
            worker = await fleet.start(proxy.url, shutdown=SHUTDOWN, lease=2.0)
            handles = await send_holds(2)
            await started(ledger, handles)
            self._cut(proxy, "reset")
            ledger.open("gate")
            await eventually(lambda: len(ledger.events("end")) == 2)
            worker.signal(signal.SIGTERM)
            await self._ends_in_time(worker)
        await self._goes_on(server, fleet, ledger, handles)

    def _cut(self, proxy: Proxy, mode: Mode) -> None:
        proxy.mode = mode
        if mode == "reset":
            proxy.reset_all()

    async def _ends_in_time(self, worker: WorkerProcess) -> None:
        begin = asyncio.get_running_loop().time()
        await worker.logged("worker faults has stopped", 20)
        took = asyncio.get_running_loop().time() - begin
        print(f"MEASURED signal to stop, Redis away: {took:.2f} s")  # noqa: T201
        assert took <= IN_TIME
        assert await worker.end(A_FEW) == 0

    async def _goes_on(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, handles: list[ltq.Handle[int]]
    ) -> None:
        """What could not be written runs again elsewhere."""
        ledger.open("gate")
        heir = await fleet.start(server.url, lease=2.0)
        assert {await handle.result(STARTED) for handle in handles} == {heir.pid}


class TestProcesses:
    @pytest.mark.parametrize("number", BOTH)
    async def test_all_drain(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, number: signal.Signals
    ) -> None:
        worker, handles = await self._two(server, fleet, ledger)
        worker.signal(number)
        await eventually(lambda: len(worker.lines("waiting for 5 running tasks")) == 2, 10)
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await have_ended([*handles])

    async def test_a_second_signal_requeues_at_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker, handles = await self._two(server, fleet, ledger)
        worker.signal(signal.SIGTERM)
        await eventually(lambda: len(worker.lines("waiting for 5 running tasks")) == 2, 10)
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0
        await were_put_back([*handles])

    async def _two(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> tuple[WorkerProcess, list[ltq.Handle[int]]]:
        """A supervisor and its two processes, with five running tasks each."""
        worker = await fleet.start(
            server.url, "--processes", "2", "--concurrency", "5", shutdown=10
        )
        handles = await send_holds(10)
        await started(ledger, handles)
        assert len({event.pid for event in ledger.events("start")} - {worker.pid}) == 2
        return worker, handles


class TestApp:
    @pytest.fixture(autouse=True)
    def _others(self, monkeypatch: pytest.MonkeyPatch, broker: RedisBroker) -> None:
        monkeypatch.setattr(jobs.others, "broker", broker)

    @pytest.mark.parametrize("number", BOTH)
    async def test_all_its_workers_drain(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, number: signal.Signals
    ) -> None:
        worker, handles = await self._both(server, fleet, ledger)
        worker.signal(number)
        await self._wait_for_their_tasks(worker)
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await have_ended(handles)

    async def test_a_second_signal_requeues_at_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker, handles = await self._both(server, fleet, ledger)
        worker.signal(signal.SIGTERM)
        await self._wait_for_their_tasks(worker)
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0
        await were_put_back(handles)

    async def _wait_for_their_tasks(self, worker: WorkerProcess) -> None:
        await worker.logged("faults: waiting for 3 running tasks")
        await worker.logged("others: waiting for 1 running tasks")

    async def _both(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> tuple[WorkerProcess, list[ltq.Handle[Any]]]:
        """An app whose two workers have running tasks."""
        target = ("--app", "tests.faults.jobs:app")
        worker = await fleet.start(server.url, target=target, shutdown=10)
        handles = [*await send_holds(3), await jobs.hold_elsewhere.send("gate")]
        await started(ledger, handles)
        return worker, handles


class TestInProcess:
    @pytest.fixture
    def worker(self, broker: RedisBroker) -> ltq.Worker:
        return ltq.Worker("embedded", broker=broker.clone(), shutdown_timeout=SHUTDOWN)

    async def test_the_end_of_the_block_drains(self, worker: ltq.Worker) -> None:
        begun, gate = asyncio.Event(), asyncio.Event()

        @worker.task
        async def wait() -> str:
            begun.set()
            await gate.wait()
            return "done"

        async with worker:
            handle = await wait.send()
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, gate.set)
        async with worker:
            assert await handle.result(5) == "done"
            assert (await handle.state()).dequeue_count == 1
        await worker.aclose()

    async def test_the_end_of_the_block_requeues_what_does_not_end(
        self, worker: ltq.Worker, broker: RedisBroker
    ) -> None:
        async with asyncio.timeout(IN_TIME):
            handle = await self._leave_running(worker)
        state = await broker.state(handle.queue, handle.id)
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)

    async def _leave_running(self, worker: ltq.Worker) -> ltq.Handle[None]:
        begun = asyncio.Event()

        @worker.task
        async def wait() -> None:
            begun.set()
            await asyncio.Event().wait()

        async with worker:
            handle = await wait.send()
            await begun.wait()
        return handle

    async def test_a_cancelled_run_requeues_at_once(
        self, worker: ltq.Worker, broker: RedisBroker
    ) -> None:
        worker.shutdown_timeout = 60.0
        before, begun = asyncio.all_tasks(), asyncio.Event()

        @worker.task
        async def wait() -> None:
            begun.set()
            await asyncio.Event().wait()

        run = asyncio.create_task(worker.run())
        handle = await wait.send()
        await begun.wait()
        run.cancel()
        async with asyncio.timeout(IN_TIME):
            with pytest.raises(asyncio.CancelledError):
                await run
        await worker.aclose()
        state = await broker.state(handle.queue, handle.id)
        assert (state.status, state.requeue_count) == (Status.PENDING, 1)
        await eventually(lambda: not asyncio.all_tasks() - before, 2, "no task is left")
