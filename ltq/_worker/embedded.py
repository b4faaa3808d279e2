"""A worker that runs beside the code of an `async with`."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from ltq._aio.service import cancel_all, first_of, spawn
from ltq._worker.run import WorkerRun


class EmbeddedRun:
    """The run of a worker in an `async with`, in one event loop.

    Other event loops may run the same worker: ending this run leaves theirs alone.
    """

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._run: WorkerRun | None = None
        self._work: asyncio.Task[None] | None = None

    def begun(self, run: WorkerRun) -> None:
        """The run has begun: the worker calls this."""
        self._run = run
        self._begun.set()

    async def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start the work, and wait until it calls `begun`. Raises what ends it before that.

        Its context is that of the block, so lifespan and tasks see context variables set there.
        """
        self._work = spawn(work, name=name, context=copy_context())
        try:
            await first_of(self._begun.wait(), asyncio.wait([self._work]), name=f"{name}-begin")
            if self._run is None:
                await self._work  # it could not begin, so this raises the reason
        except BaseException:
            await cancel_all([self._work])
            raise

    def stop(self, *, now: bool = False) -> None:
        """Tell it to stop: see `WorkerRun.stop`."""
        if self._run is not None:
            self._run.stop(now=now)

    async def end(self) -> None:
        """Stop, and let running tasks end. Raises what ended the run before."""
        self.stop()
        if self._work is not None:
            await self._work
