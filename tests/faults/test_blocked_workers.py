"""A task blocks the event loop of its worker for ever: its timeout and a stop hold all the same."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet
from ltq._aio.signals import SAME_SIGNAL
from ltq.state import Status
from tests.elapse import elapse
from tests.faults import jobs
from tests.faults.sent import STARTED, send_holds, started

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("broker")]

SHUTDOWN = 0.3

A_FEW = 5.0
"""Seconds that noticing the blocked loop and the end of the process may take."""


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    """One server for all tests here: it is emptied before each."""
    with RedisServer(redis_executable) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(admin: Any) -> None:
    admin.flushall()


class TestStop:
    @pytest.mark.parametrize(
        ("numbers", "shutdown"),
        [
            ([signal.SIGTERM], SHUTDOWN),
            ([signal.SIGINT], SHUTDOWN),
            ([signal.SIGTERM, signal.SIGINT], 60.0),
            ([signal.SIGINT, signal.SIGTERM], 60.0),
        ],
        ids=["SIGTERM", "SIGINT", "SIGTERM, then SIGINT", "SIGINT, then SIGTERM"],
    )
    @pytest.mark.parametrize("target", [[], ["--app", "tests.faults.jobs:app"]], ids=["", "app"])
    async def test_the_process_ends_and_gives_back_what_it_has(
        self,
        server: RedisServer,
        fleet: Fleet,
        ledger: Ledger,
        numbers: list[signal.Signals],
        shutdown: float,
        target: list[str],
    ) -> None:
        worker = await fleet.start(server.url, target=target, lease=3.0, shutdown=shutdown)
        neighbours = await send_holds(3)
        await started(ledger, [*neighbours])
        blocking = await jobs.block.send()
        await worker.logged("the event loop is blocked by faults:block")
        for number in numbers:
            worker.signal(number)
            await elapse(2 * SAME_SIGNAL, "signals at once are one")
        assert await worker.end(SHUTDOWN + A_FEW) == 0
        for state in [await handle.state() for handle in neighbours]:
            assert (state.status, state.requeue_count) == (Status.PENDING, 1)
        ledger.open("gate")
        heir = await fleet.start(server.url)
        assert {await handle.result(STARTED) for handle in neighbours} == {heir.pid}
        assert await blocking.result(STARTED) == heir.pid
        assert {event.attempt for event in ledger.events()} == {1}


class TestTimeout:
    async def test_beyond_it_the_task_and_its_neighbours_run_elsewhere(
        self, server: RedisServer, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(server.url, lease=1.0, shutdown=SHUTDOWN)
        neighbours = await send_holds(3)
        await started(ledger, [*neighbours])
        blocking = await jobs.block.with_options(timeout=0.5).send()
        await worker.logged("the event loop is blocked by faults:block")
        ledger.open("gate")
        heir = await fleet.start(server.url, lease=1.0)
        assert await blocking.result(STARTED) == heir.pid
        assert {await handle.result(STARTED) for handle in neighbours} == {heir.pid}
        assert (await blocking.state()).requeue_count == 1
        worker.signal(signal.SIGTERM)
        assert await worker.end(SHUTDOWN + A_FEW) == 0
