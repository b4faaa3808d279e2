"""A web app that runs LTQ in its lifespan, in the way that the variable EMBED names."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from tests.signals import jobs
from tests.signals.jobs import tell

Message = dict[str, Any]


@asynccontextmanager
async def as_task(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Beside the server, as programs do that do not know of `async with`."""
    task = asyncio.ensure_future(run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


WAYS: dict[str, Callable[[], AbstractAsyncContextManager[object]]] = {
    "run of a worker": lambda: as_task(jobs.worker.run),
    "run of an app": lambda: as_task(jobs.app.run),
    "run of a scheduler": lambda: as_task(jobs.scheduler.run),
    "nothing": nullcontext,
    "worker": lambda: jobs.worker,
    "app": lambda: jobs.app,
    "scheduler": lambda: jobs.scheduler,
}


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """An ASGI application: it has a lifespan, and answers nothing."""
    assert scope["type"] == "lifespan"
    await receive()
    async with WAYS[os.environ["EMBED"]]():
        await send({"type": "lifespan.startup.complete"})
        tell("serving")
        await receive()
        tell("shutting down")
    tell("shut down")
    await send({"type": "lifespan.shutdown.complete"})
