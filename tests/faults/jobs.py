"""The worker that fault tests run, kill and pause: its tasks tell a ledger what they do.

The ledger is a second Redis, which nothing ever happens to. The environment may say that the
process ends itself somewhere (see `crash`), or that it begins only when it is told to.
"""

import asyncio
import ctypes
import hashlib
import os
import time
from collections.abc import AsyncIterator

import redis

import ltq
from devtools.ledger import Event, Ledger
from devtools.variables import (
    CRASH_VARIABLE,
    GO_VARIABLE,
    LEASE_VARIABLE,
    LEDGER_VARIABLE,
    SHUTDOWN_VARIABLE,
)
from tests.faults import crash

TARGET = "tests.faults.jobs:worker"

worker = ltq.Worker(
    "faults",
    lease=float(os.environ.get(LEASE_VARIABLE, "15")),
    shutdown_timeout=float(os.environ.get(SHUTDOWN_VARIABLE, "30")),
)

others = ltq.Worker("others", lease=worker.lease, shutdown_timeout=worker.shutdown_timeout)

app = ltq.App()
app.register_worker(worker)
app.register_worker(others)

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


def produce(task_id: str) -> None:
    """What a producer process does: one send."""
    asyncio.run(_produce(task_id))


async def _produce(task_id: str) -> None:
    await double.with_options(id=task_id).send(21)


@worker.task
async def double(number: int) -> int:
    """Ends at once."""
    tell("start")
    tell("end")
    return 2 * number


@others.task(name="double")
async def double_elsewhere(number: int) -> int:
    """The same, of the other worker."""
    return await double(number)


@worker.task
def double_in_thread(number: int) -> int:
    """Ends at once, in a thread."""
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


@others.task(name="hold")
async def hold_elsewhere(gate: str) -> int:
    """The same, of the other worker."""
    return await hold(gate)


both = ltq.Worker("both", lease=worker.lease, shutdown_timeout=worker.shutdown_timeout)
"""One worker that serves the namespaces of the two."""


@both.task(queue="faults:both")
async def hold_in_both(gate: str) -> int:
    """The same, in the namespace `faults`."""
    return await hold(gate)


@both.task(queue="others:both")
async def hold_beside(gate: str) -> int:
    """The same, in the namespace `others`."""
    return await hold(gate)


@both.task(queue="others:both")
async def double_beside(number: int) -> int:
    """The same as `double`, in the namespace `others`."""
    return await double(number)


@worker.task
def hold_in_thread(gate: str) -> int:
    """Waits in a thread until the gate is opened in the ledger."""
    tell("start")
    while not ledger().is_open(gate):
        time.sleep(0.02)  # the task's own time
    tell("end")
    return os.getpid()


@worker.task
async def report(steps: int) -> int:
    """Tells how far it is, again and again; returns the process that ran it."""
    tell("start")
    for step in range(steps):
        await ltq.current().progress(step + 1, steps)
        await asyncio.sleep(0.02)  # the task's own time
    tell("end")
    return os.getpid()


@worker.task
async def starve(seconds: float) -> int:
    """The first time, holds the interpreter lock: not even the heartbeat's thread runs."""
    context = ltq.current()
    is_first = context.id not in ledger().ids("start")
    tell("start")
    if is_first:
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # the task's own time
    tell("end")
    return os.getpid()


@worker.task
async def block() -> int:
    """The first time, blocks the event loop for ever; returns the process that ran it."""
    is_first = ltq.current().id not in ledger().ids("start")
    tell("start")
    deadline = time.monotonic() + (_FOR_EVER if is_first else 0.0)
    while time.monotonic() < deadline:
        time.sleep(0.05)  # noqa: ASYNC251  # the task's own time
    tell("end")
    return os.getpid()


@worker.task(max_rate="100/s")
async def limited() -> None:
    """Ends at once; no more than so many start in a second."""
    tell("start")


@worker.task
async def fail() -> None:
    """Ends as a dead letter."""
    tell("start")
    raise ValueError("meant to fail")


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
    await asyncio.to_thread(time.sleep, _FOR_EVER)  # the task's own time


@worker.task(max_deliveries=3)
async def kill(after: float) -> None:
    """Kills its process."""
    tell("start")
    await asyncio.sleep(after)  # the task's own time
    os._exit(9)


@worker.task(max_deliveries=1)
async def leave(code: int) -> None:
    """Ends its process with an exit code, as if nothing were wrong."""
    tell("start")
    os._exit(code)


@worker.task
async def compute() -> None:
    """Blocks the event loop in a call that Python cannot interrupt."""
    tell("start")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


crash.install(os.environ.get(CRASH_VARIABLE, ""))
if os.environ.get(GO_VARIABLE):
    ledger().client.blpop([os.environ[GO_VARIABLE]], timeout=30)


@worker.task
async def count(most: int, pause: float) -> AsyncIterator[int]:
    """Yields numbers, with pauses between them."""
    for number in range(most):
        yield number
        await asyncio.sleep(pause)  # the task's own time


@worker.task
async def numbers(most: int) -> list[int]:
    """A list for a map."""
    return [*range(most)]
