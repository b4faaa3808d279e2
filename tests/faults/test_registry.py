"""What the registry says of workers that are paused, killed and stopped."""

import signal

import pytest

from devtools.ledger import Ledger
from devtools.servers import RedisServer
from devtools.workers import Fleet
from ltq.broker import Broker
from tests.eventually import eventually
from tests.faults.sent import send_holds, started

LEASE = 2.0

GONE = 45.0
"""Seconds within which a silent worker is gone: half a minute, and a while for a busy machine."""


async def is_listed(broker: Broker, pid: int, status: str) -> bool:
    """Whether a process is listed with a status."""
    return [one.status for one in await broker.workers() if one.pid == pid] == [status]


async def is_gone(broker: Broker, pid: int) -> bool:
    return pid not in [one.pid for one in await broker.workers()]


@pytest.mark.usefixtures("ledger")
async def test_a_worker_that_is_paused_is_silent_and_alive_again_and_one_that_is_killed_is_gone(
    server: RedisServer, fleet: Fleet, broker: Broker
) -> None:
    worker = await fleet.start(server.url, lease=LEASE)
    await eventually(lambda: is_listed(broker, worker.pid, "alive"))
    worker.signal(signal.SIGSTOP)
    await eventually(lambda: is_listed(broker, worker.pid, "silent"))
    worker.signal(signal.SIGCONT)
    await eventually(lambda: is_listed(broker, worker.pid, "alive"))
    await worker.kill()
    await eventually(lambda: is_listed(broker, worker.pid, "silent"))
    await eventually(lambda: is_gone(broker, worker.pid), GONE)


async def test_a_worker_that_is_stopped_is_gone_with_its_tasks(
    server: RedisServer, fleet: Fleet, broker: Broker, ledger: Ledger
) -> None:
    worker = await fleet.start(server.url, lease=LEASE)
    handles = await send_holds(2)
    await started(ledger, handles)
    (listed,) = await broker.workers()
    assert listed.running == tuple(sorted(handle.id for handle in handles))
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGTERM)
    await eventually(lambda: is_gone(broker, worker.pid), GONE)
