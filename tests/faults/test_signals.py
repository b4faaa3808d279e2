"""One signal counts once, however many processes get it, and a child that ends is started again."""

import asyncio
import os
import signal
from collections.abc import Sequence

import pytest

import ltq
from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet, WorkerProcess
from ltq.state import Status
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.sent import STARTED, send_holds, started, states

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("broker")]

BOTH = [signal.SIGTERM, signal.SIGINT]

A_FEW = 5.0
"""Seconds a process may take to end."""

TARGET = [jobs.TARGET]
APP = ["--app", "tests.faults.jobs:app"]

WAYS = [
    pytest.param(TARGET, id="ltq run"),
    pytest.param([*TARGET, "--processes", "2"], id="processes"),
    pytest.param(APP, id="app"),
    pytest.param([*APP, "--processes", "2"], id="processes of an app"),
]
"""How `ltq run` may run workers that get their whole shutdown timeout."""

COUNT = 10


async def _begin(
    server: RedisServer, fleet: Fleet, ledger: Ledger, way: Sequence[str]
) -> tuple[WorkerProcess, list[ltq.Handle[int]], set[int]]:
    """Start workers with running tasks; return them, the tasks and the pids that run those."""
    worker = await fleet.start(
        server.url, "--concurrency", str(COUNT // 2), target=way, shutdown=10
    )
    count = COUNT if "--processes" in way else COUNT // 2
    handles = await send_holds(count)
    await started(ledger, handles)
    pids = {event.pid for event in ledger.events("start")}
    assert len(pids) == (2 if "--processes" in way else 1)
    return worker, handles, pids


async def _told(worker: WorkerProcess, pids: set[int]) -> None:
    """Wait until all have begun to stop."""
    await eventually(
        lambda: len(worker.lines("faults: waiting for")) == len(pids),
        A_FEW,
        "the begin of the stop",
    )


async def _ran_once(handles: list[ltq.Handle[int]]) -> None:
    for state in await states(handles):
        assert (state.status, state.dequeue_count) == (Status.COMPLETED, 1)


class TestOneSignal:
    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("way", WAYS)
    async def test_all_processes_get_it(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        way: Sequence[str],
        number: signal.Signals,
    ) -> None:
        """As systemd sends it to all processes of a unit."""
        worker, handles, pids = await _begin(server, fleet, ledger, way)
        for pid in {worker.pid, *pids}:
            os.kill(pid, number)
        await _told(worker, pids)
        await elapse(0.2, "the supervisor has passed it on")
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await _ran_once(handles)

    @pytest.mark.parametrize("number", BOTH)
    @pytest.mark.parametrize("way", WAYS)
    async def test_it_comes_once_more_with_the_group(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        way: Sequence[str],
        number: signal.Signals,
    ) -> None:
        """As `timeout` does it, or a program that passes on what the terminal sends to all."""
        worker, handles, pids = await _begin(server, fleet, ledger, way)
        worker.signal(number)
        worker.signal_group(number)
        worker.signal(number)
        await _told(worker, pids)
        await elapse(0.2, "the supervisor has passed it on")
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await _ran_once(handles)

    async def test_under_reload_it_comes_with_the_group(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker, handles, pids = await _begin(server, fleet, ledger, [*TARGET, "--reload"])
        worker.signal_group(signal.SIGINT)
        worker.signal(signal.SIGINT)
        await _told(worker, pids)
        ledger.open("gate")
        assert await worker.end(A_FEW) == 0
        await _ran_once(handles)


class TestBlockedByOtherCode:
    """Python cannot call a handler while C code keeps the main thread."""

    @pytest.mark.parametrize("way", WAYS[:2])
    async def test_one_signal_and_its_timeout_end_it(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, way: Sequence[str]
    ) -> None:
        worker = await fleet.start(server.url, target=way, shutdown=0.5)
        await started(ledger, [await jobs.compute.send()])
        worker.signal(signal.SIGTERM)
        await worker.logged("the event loop is still blocked by")
        await worker.end(A_FEW)

    @pytest.mark.parametrize("way", WAYS[:2])
    async def test_a_second_signal_ends_it(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, way: Sequence[str]
    ) -> None:
        worker = await fleet.start(server.url, target=way)
        await started(ledger, [await jobs.compute.send()])
        await worker.logged("the event loop is blocked by")
        worker.signal(signal.SIGTERM)
        await elapse(0.5, "another signal is a second one")
        worker.signal(signal.SIGTERM)
        await worker.logged("the event loop is still blocked by")
        await worker.end(A_FEW)


class TestTwoSignals:
    @pytest.mark.parametrize("way", WAYS)
    async def test_the_second_requeues_at_once(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, way: Sequence[str]
    ) -> None:
        worker, handles, pids = await _begin(server, fleet, ledger, way)
        for _ in range(2):
            for pid in {worker.pid, *pids}:
                os.kill(pid, signal.SIGTERM)
            await _told(worker, pids)
        assert await worker.end(A_FEW) == 0
        assert {state.status for state in await states(handles)} == {Status.PENDING}


class TestEndingUnasked:
    @pytest.mark.parametrize("code", [0, 1, 2, 96])
    @pytest.mark.parametrize("option", [("--processes", "2"), ("--reload",)])
    async def test_a_task_ends_its_process(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        option: Sequence[str],
        code: int,
    ) -> None:
        worker = await fleet.start(server.url, *option, lease=1.0)
        handle = await jobs.leave.send(code)
        await worker.logged(f"exited with {code}: restarting in 1 s", STARTED)
        assert await (await jobs.double.send(1)).result(STARTED) == 2
        assert (await handle.wait(STARTED)).status is Status.REJECTED
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0

    @pytest.mark.parametrize("option", [("--processes", "2"), ("--reload",)])
    async def test_somebody_ends_one(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, option: Sequence[str]
    ) -> None:
        worker = await fleet.start(server.url, *option)
        ledger.open("gate")
        (hold,) = await send_holds(1)
        os.kill(await hold.result(STARTED), signal.SIGTERM)
        await worker.logged("exited with 0: restarting in 1 s")
        assert await (await jobs.double.send(1)).result(STARTED) == 2
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0

    async def test_the_pause_grows(self, server: RedisServer, fleet: Fleet, ledger: Ledger) -> None:
        worker = await fleet.start(server.url, "--reload", lease=1.0)
        for pause in (1, 2):
            await jobs.leave.send(0)
            await worker.logged(f"exited with 0: restarting in {pause} s", STARTED)
        worker.signal(signal.SIGTERM)
        assert await worker.end(A_FEW) == 0

    @pytest.mark.parametrize("option", [("--processes", "2"), ("--reload",)])
    async def test_a_burst_that_is_done_is_not_started_again(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger, option: Sequence[str]
    ) -> None:
        handle = await jobs.double.send(1)
        worker = await fleet.start(server.url, *option, "--burst")
        assert await worker.end(STARTED) == 0
        assert await handle.result(0) == 2
        assert not worker.lines("restarting")

    async def test_a_burst_in_which_a_task_ends_its_process_goes_on(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        handles = [await jobs.leave.send(0), await jobs.double.send(1)]
        worker = await fleet.start(server.url, "--processes", "2", "--burst", lease=1.0)
        assert await worker.end(STARTED) == 0
        assert worker.lines("exited with 0: restarting in 1 s")
        assert await handles[1].result(0) == 2


async def test_a_stop_while_children_start_ends_them(
    server: RedisServer, fleet: Fleet, ledger: Ledger
) -> None:
    worker = await fleet.start(server.url, "--processes", "2")
    await worker.logged("process 1 runs as pid")
    worker.signal(signal.SIGTERM)
    async with asyncio.timeout(A_FEW):
        assert await worker.end(A_FEW) == 0
