"""Workers are killed, paused and stopped: nothing is lost, nothing stale is believed."""

import asyncio
import signal
from typing import Any

import pytest

import ltq
from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.brokers.redis import RedisBroker
from ltq.state import Status
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.sent import STARTED, send_holds, started, states


@pytest.mark.usefixtures("broker")
class TestKilled:
    async def test_its_tasks_run_again_in_time(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        lease = 1.5
        victim = await fleet.start(server.url, lease=lease)
        handles = await send_holds(5)
        await started(ledger, handles)
        heir = await fleet.start(server.url, lease=lease)
        await heir.logged("worker faults:")
        killed = asyncio.get_running_loop().time()
        await victim.kill()
        await started(ledger, handles, 2)
        took = asyncio.get_running_loop().time() - killed
        print(f"MEASURED kill -9 to running again: {took:.2f} s, lease {lease} s")  # noqa: T201
        assert took <= lease + 2.0
        assert {state.requeue_count for state in await states(handles)} == {1}
        ledger.open("gate")
        results = [await handle.result(10) for handle in handles]
        assert set(results) == {heir.pid}
        final = await states(handles)
        assert {state.requeue_count for state in final} == {1}
        assert {state.dequeue_count for state in final} == {2}

    async def test_a_burst_of_work_is_done_to_the_end(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        first = await fleet.start(server.url, "--concurrency", "10", lease=1.0)
        handles = await jobs.last.send_many([jobs.last.message(0.05) for _ in range(100)])
        await eventually(lambda: len(ledger.ids("end")) >= 20, STARTED)
        second = await fleet.start(server.url, "--concurrency", "10", lease=1.0)
        await first.kill()
        assert {first.pid, second.pid} >= {await handle.result(15) for handle in handles}
        assert len(ledger.events("start")) <= 110


@pytest.mark.usefixtures("broker")
class TestPaused:
    async def test_what_it_says_after_its_lease_is_not_believed(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        sleeper = await fleet.start(server.url, lease=1.0)
        handles = await send_holds(3)
        await started(ledger, handles)
        sleeper.signal(signal.SIGSTOP)
        heir = await fleet.start(server.url, lease=1.0)
        await started(ledger, handles, 2)
        ledger.open("gate")
        assert {await handle.result(10) for handle in handles} == {heir.pid}
        before = await states(handles)
        sleeper.signal(signal.SIGCONT)
        await eventually(
            lambda: "refused" in sleeper.log() or "its lease is lost" in sleeper.log(), 10
        )
        await heir.kill()
        again = await jobs.double.send(21)
        assert await again.result(10) == 42
        assert await states(handles) == before
        assert {state.status for state in before} == {Status.COMPLETED}

    async def test_one_paused_with_the_task_running_elsewhere_gives_way(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        sleeper = await fleet.start(server.url, lease=1.0)
        handles = await send_holds(3)
        await started(ledger, handles)
        sleeper.signal(signal.SIGSTOP)
        heir = await fleet.start(server.url, lease=1.0)
        await started(ledger, handles, 2)
        sleeper.signal(signal.SIGCONT)
        await eventually(lambda: len(sleeper.lines("its lease is lost")) == 3, 10)
        ledger.open("gate")
        assert {await handle.result(10) for handle in handles} == {heir.pid}
        assert {event.pid for event in ledger.events("end")} == {heir.pid}
        assert len(sleeper.lines("refused")) == 0


def waiting(ledger: Any) -> int:
    """How many processes wait until they may begin."""
    return int(ledger.client.info("clients")["blocked_clients"])


@pytest.mark.usefixtures("broker")
class TestStarved:
    async def test_one_that_cannot_run_at_all_is_taken_for_dead_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        """A call that holds the interpreter lock longer than the lease stops the heartbeat too."""
        starved = await fleet.start(server.url, "--concurrency", "1", lease=1.0)
        heir = await fleet.start(server.url, lease=1.0, go="heir")  # is ready, and waits
        await eventually(lambda: waiting(ledger) == 1, STARTED)
        handle = await jobs.starve.send(4.0)
        await eventually(lambda: len(ledger.events("start")) == 1, STARTED)
        ledger.client.rpush("heir", 1)
        assert await handle.result(10) == heir.pid
        before = await handle.state()
        await eventually(
            lambda: "refused" in starved.log() or "its lease is lost" in starved.log(), 10
        )
        assert await handle.state() == before
        assert (before.dequeue_count, before.requeue_count) == (2, 1)
        again = await jobs.double.send(21)
        assert await again.result(5) == 42


@pytest.mark.usefixtures("broker")
class TestPoison:
    @pytest.mark.slow
    async def test_quick_neighbours_of_a_killer_complete(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, broker: RedisBroker
    ) -> None:
        killer = await jobs.kill.send(0.1)
        others = await jobs.double.send_many([jobs.double.message(n) for n in range(20)])
        await self._work_until_it_is_buried(fleet, server, killer)
        assert [await handle.result(10) for handle in others] == [2 * n for n in range(20)]
        assert await buried(broker) == {"faults:kill": 1}

    @pytest.mark.slow
    async def test_no_neighbour_of_a_killer_is_buried(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, broker: RedisBroker
    ) -> None:
        killer = await jobs.kill.send(0.1)
        others = await jobs.last.send_many([jobs.last.message(0.3) for _ in range(20)])
        await self._work_until_it_is_buried(fleet, server, killer)
        final = [await handle.wait(10) for handle in others]
        counted = {status: sum(s.status is status for s in final) for status in Status}
        print(f"MEASURED neighbours of a killer: {counted}")  # noqa: T201
        assert counted[Status.COMPLETED] == 20
        assert await buried(broker) == {"faults:kill": 1}

    async def _work_until_it_is_buried(
        self, fleet: Fleet, server: RedisServer, killer: ltq.Handle[None]
    ) -> None:
        """As a supervisor would: a new worker for each that died."""
        ending = asyncio.create_task(killer.wait(45))
        worker: WorkerProcess | None = None
        while not ending.done():
            if worker is None or worker.exit_code is not None:
                assert len(fleet.workers) < 12, "too many died"
                worker = await fleet.start(server.url, lease=0.5)
            dying = asyncio.create_task(worker.end(45))
            await asyncio.wait([ending, dying], return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
        assert (await ending).status is Status.REJECTED
        assert (await ending).dequeue_count == 4  # the last delivery is rejected before it runs


async def buried(broker: RedisBroker) -> dict[str, int]:
    """The dead letters by queue."""
    stats = await broker.stats(await broker.queues())
    return {queue.queue: queue.dead for queue in stats if queue.dead}
