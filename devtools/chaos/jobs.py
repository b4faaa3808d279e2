"""The worker of the chaos runs: tasks of every kind, which say who ran them.

Each run tells the ledger when it starts and ends, and returns what the ledger then has to agree
with: its process and the token of its lease.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import redis

import ltq
from devtools.ledger import Event, Ledger
from devtools.variables import LEASE_VARIABLE, LEDGER_VARIABLE, SHUTDOWN_VARIABLE

NAME = "chaos"
TARGET, OTHER_TARGET = "devtools.chaos.jobs:worker", "devtools.chaos.jobs:other"
SHARED = f"{NAME}:shared"
BEYOND = "beyond"
"""A second namespace, which may be on another server."""

PARTS = 5
"""Elements of a map, and items of a stream."""

MAX_DELIVERIES = 3
FAILURES = 2
FLAKY_TRIES = FAILURES + 1

worker = ltq.Worker(
    NAME,
    lease=float(os.environ.get(LEASE_VARIABLE, "15")),
    shutdown_timeout=float(os.environ.get(SHUTDOWN_VARIABLE, "30")),
)

_ledger: list[Ledger] = []


@dataclass(frozen=True)
class Run:
    """Who completed a task."""

    number: int
    pid: int
    token: int


class WantedError(Exception):
    """What tasks raise that shall fail."""


def tell(what: str) -> int:
    """Write into the ledger what happens to the running task; the token of its lease."""
    if not _ledger:
        _ledger.append(Ledger(redis.Redis.from_url(os.environ[LEDGER_VARIABLE])))
    context = ltq.current()
    token = context._lease.token
    _ledger[0].write(Event(what, context.id, context.attempt, os.getpid(), time.time(), token))
    return token


def ended(number: int) -> Run:
    """The last thing a run does."""
    return Run(number, os.getpid(), tell("end"))


@worker.task
async def instant(number: int) -> Run:
    """Ends at once."""
    tell("start")
    return ended(number)


@worker.task
async def work(number: int, seconds: float) -> Run:
    """Takes its time in the event loop."""
    tell("start")
    await asyncio.sleep(seconds)  # the task's own time
    return ended(number)


@worker.task(max_deliveries=MAX_DELIVERIES)
async def frail(number: int, seconds: float) -> Run:
    """Takes its time, and is buried as soon as a toxic task is."""
    tell("start")
    await asyncio.sleep(seconds)  # the task's own time
    return ended(number)


@worker.task
def plod(number: int, seconds: float) -> Run:
    """Takes its time in a thread."""
    tell("start")
    time.sleep(seconds)  # the task's own time
    return ended(number)


@worker.task(max_tries=FLAKY_TRIES, backoff=0.05)
async def flaky(number: int) -> Run:
    """Fails as often as it may, then completes."""
    tell("start")
    if ltq.current().attempt <= FAILURES:
        raise WantedError(f"try {ltq.current().attempt}")
    return ended(number)


@worker.task
async def broken(number: int) -> Run:
    """Fails."""
    tell("start")
    raise WantedError(f"number {number}")


@worker.task
async def stepped(number: int, steps: int) -> Run:
    """Shows how far it is."""
    tell("start")
    for step in range(1, steps + 1):
        await ltq.current().progress(step, steps)
        await asyncio.sleep(0.05)  # the task's own time
    return ended(number)


@worker.task(max_deliveries=MAX_DELIVERIES)
async def toxic(number: int) -> Run:
    """Kills its process."""
    tell("start")
    await asyncio.sleep(0.05)  # the task's own time
    os._exit(9)


@worker.task(result_ttl=0)
async def nothing() -> None:
    """Does nothing, tells nobody, leaves nothing."""


@worker.task
async def echo(number: int) -> int:
    """Returns at once, and tells nobody."""
    return number


@worker.task
async def spread(number: int) -> list[int]:
    """The first node of a workflow."""
    tell("start")
    tell("end")
    return [number] * PARTS


@worker.task(queue=f"{BEYOND}:part")
async def part(number: int) -> int:
    """An element of a map, in another namespace."""
    tell("start")
    await asyncio.sleep(0.02)  # the task's own time
    tell("end")
    return number


@worker.task
async def gathered(numbers: list[int]) -> Run:
    """Takes all elements: one that is missing or wrong makes another number."""
    tell("start")
    return ended(sum(numbers) // PARTS if len(numbers) == PARTS else -1)


@worker.task(queue=f"{BEYOND}:passed")
async def passed(run: Run) -> list[int]:
    """A node of a chain."""
    tell("start")
    tell("end")
    return [run.number] * PARTS


@worker.task
async def streamed(number: int) -> AsyncIterator[int]:
    """Yields some numbers from this one on."""
    tell("start")
    for item in range(number, number + PARTS):
        yield item
        await asyncio.sleep(0.02)  # the task's own time
    tell("end")


async def _one_sided(number: int) -> Run:
    tell("start")
    return ended(number)


other = ltq.Worker(NAME, lease=worker.lease, shutdown_timeout=worker.shutdown_timeout)
"""Another version of the worker: each knows a task of the shared queue that the other does not."""

for task in list(worker.tasks.values()):
    other.task(name=task.name.removeprefix(f"{NAME}:"), **task.options)(task.fn)

left = worker.task(name="left", queue=SHARED)(_one_sided)
right = other.task(name="right", queue=SHARED)(_one_sided)
