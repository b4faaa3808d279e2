"""A worker, an App and a scheduler that stay in one phase, and tell which phases they come to."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ltq

STAY = os.environ.get("STAY", "").split(",")
"""The phases to stay in: import, start, run, middleware, exit."""

HOW = os.environ.get("HOW", "")
"""How: "block" blocks the event loop, "swallow" catches what ends it, "linger" takes its time
after that, "child" stays only in the import of a child process."""


def tell(text: str) -> None:
    """Tell the test. It may be called in a signal handler, so not by `print`."""
    os.write(1, f"{text}\n".encode())


def block() -> None:
    """Block this thread for a minute, in short sleeps.

    A signal that comes just before a long one would be seen only when that is over.
    """
    for _ in range(600):
        time.sleep(0.1)  # the task's own time, or that of the module


async def stay(phase: str) -> None:
    """Stay here, if this is a phase to stay in."""
    if phase not in STAY:
        return
    tell(f"in {phase}")
    if HOW == "block":
        block()
    while True:
        try:
            await asyncio.sleep(60)  # the task's own time
        except asyncio.CancelledError:
            tell(f"{phase} is cut")
            if HOW != "swallow":
                raise


class Slow(ltq.Middleware):
    """Middleware that takes its time after a task."""

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await stay("middleware")


@asynccontextmanager
async def lifespan(_: ltq.Worker[Any]) -> AsyncIterator[None]:
    await stay("start")
    if {"run", "middleware"} & {*STAY}:
        await work.send()
    if "leave" in STAY:
        await leave.send(int(HOW))
    tell("begun")
    try:
        yield
    finally:
        await stay("exit")
        tell("left")


if "import" in STAY and ("LTQ_SUPERVISED" in os.environ) == (HOW == "child"):
    try:
        tell("in import")
        block()
    except BaseException:
        if HOW == "linger":
            tell("lingering")
            block()
        if HOW != "swallow":
            raise

worker = ltq.Worker(
    "jobs",
    broker_url="memory://signals",
    lifespan=lifespan,
    middlewares=[*ltq.Worker("stack", "memory://").middlewares, Slow()],
)
plain = ltq.Worker("plain", broker_url="memory://signals")


@worker.cron("0 0 1 1 *")
@worker.task
async def work() -> None:
    await stay("run")


@plain.task
async def rest() -> None: ...


@worker.task
async def leave(code: int) -> None:
    """End the event loop by a callback."""
    asyncio.get_running_loop().call_soon(sys.exit, code)
    await asyncio.Event().wait()


app = ltq.App()
app.register_worker(worker)
app.register_worker(plain)

scheduler = ltq.Scheduler("memory://signals")
scheduler.cron("0 0 1 1 *", rest.message())

ending = ltq.Scheduler("memory://signals")
"""A callback ends its event loop."""


class Ending(ltq.Middleware):
    """Middleware that ends the event loop when a task is sent."""

    def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
        asyncio.get_running_loop().call_soon(sys.exit, int(HOW))

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        yield


ends = ltq.Worker("ends", broker_url="memory://signals", middlewares=[Ending()])


@ends.task
async def end() -> None: ...


ending.cron("* * * * * *", end.message())
