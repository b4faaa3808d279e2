"""The worker that fault tests run, kill and pause: its tasks tell a ledger what they do.

The ledger is a second Redis, which nothing ever happens to.
"""

import asyncio
import os
import time

import redis

import ltq
from tests.faults.ledger import LEDGER_VARIABLE, Event, Ledger

worker = ltq.Worker(
    "faults",
    lease=float(os.environ.get("LTQ_FAULTS_LEASE", "15")),
    shutdown_timeout=float(os.environ.get("LTQ_FAULTS_SHUTDOWN", "30")),
)

_FOR_EVER = 3600.0

_ledger: list[Ledger] = []


def ledger() -> Ledger:
    """The ledger of this process."""
    if not _ledger:
        _ledger.append(Ledger(redis.Redis.from_url(os.environ[LEDGER_VARIABLE])))
    return _ledger[0]


def tell(what: str) -> None:
    """Write into the ledger what happens to the running task."""
    context = ltq.current()
    ledger().write(Event(what, context.id, context.attempt, os.getpid(), time.time()))


@worker.task
async def double(number: int) -> int:
    """Ends at once."""
    tell("start")
    tell("end")
    return 2 * number


@worker.task(max_deliveries=3)
async def last(seconds: float) -> int:
    """Takes its time; returns the process that ran it."""
    tell("start")
    await asyncio.sleep(seconds)  # the task's own time
    tell("end")
    return os.getpid()


@worker.task
async def hold(gate: str) -> int:
    """Waits until the gate is opened in the ledger; returns the process that ran it."""
    tell("start")
    while not ledger().is_open(gate):  # noqa: ASYNC110  the gate is in another process
        await asyncio.sleep(0.02)  # the task's own time
    tell("end")
    return os.getpid()


@worker.task
async def swallow() -> None:
    """Does not end when it is cancelled."""
    tell("start")
    deadline = time.monotonic() + _FOR_EVER
    while time.monotonic() < deadline:
        try:
            await asyncio.sleep(0.05)  # the task's own time
        except asyncio.CancelledError:
            continue


@worker.task
def snore() -> None:
    """Sleeps for ever, in a thread of the worker's."""
    tell("start")
    time.sleep(_FOR_EVER)  # the task's own time


@worker.task
async def snore_apart() -> None:
    """Sleeps for ever, in a thread of the event loop's own pool."""
    tell("start")
    await asyncio.to_thread(time.sleep, _FOR_EVER)


@worker.task(max_deliveries=3)
async def kill(after: float) -> None:
    """Kills its process."""
    tell("start")
    await asyncio.sleep(after)  # the task's own time
    os._exit(9)
