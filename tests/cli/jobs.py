"""The workers that `ltq run` runs in tests."""

import asyncio
import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import ltq

worker = ltq.Worker("jobs", broker_url="memory://jobs", shutdown_timeout=timedelta(seconds=20))
hasty = ltq.Worker("hasty", broker_url="memory://jobs", shutdown_timeout=timedelta(seconds=0.05))
empty = ltq.Worker("empty", broker_url="memory://jobs")

not_a_worker = 1


@worker.task
async def add(a: int, b: int) -> int:
    return a + b


@worker.task
async def whoami() -> str:
    """What runs it: process id, and the module of its event loop."""
    return f"{os.getpid()} {type(asyncio.get_running_loop()).__module__}"


@worker.task
def read(path: str) -> str:
    """Wait in a thread for what somebody writes to a named pipe."""
    return Path(path).read_text()


@worker.task
def tell(text: str) -> None:
    """Log something, in a thread, with a logger that is not LTQ's."""
    logging.getLogger("shop").info("told: %s", text)


@dataclass
class Order:
    count: int
    within: timedelta


@worker.task
async def buy(order: Order) -> float:
    return order.count * order.within.total_seconds()


@hasty.task
def hang(path: str) -> str:
    """The same, in a worker that waits for nobody."""
    return Path(path).read_text()


@hasty.task
async def hang_in_thread(path: str) -> str:
    """The same, in a thread of the event loop's own pool."""
    return await asyncio.to_thread(Path(path).read_text)
