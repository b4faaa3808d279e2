"""The life of one run of a worker: stopped in whatever phase it is, and run beside other code."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any

from ltq._aio.cancellation import Cuttable
from ltq._aio.closing import wait_out
from ltq._aio.service import first_of, spawn
from ltq._aio.threads import call_in
from ltq._worker.run import WorkerRun

logger = logging.getLogger("ltq.worker")

_LIFESPAN_GRACE = 1.0
"""Seconds that a lifespan gets to end when the worker was told to stop at once."""


class Stopping:
    """Ends each phase of a worker's run: its start, its run and drain, and its lifespan's exit.

    While it starts or leaves, user code of the lifespan runs: that is cut, by a cancellation. What
    runs between them stops by itself.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._block = Cuttable()
        self._is_over = False
        self._is_leaving = False
        self._told = False
        self._told_now = False
        self._in_a_hurry = False
        self.run: WorkerRun | None = None
        """None while it starts, and while its lifespan ends."""

    def stop(self, *, now: bool) -> None:
        """Stop it, as the program wants. A start goes on, except with `now`. From any thread."""
        call_in(self._loop, self._note, now)
        if now:
            call_in(self._loop, self._cut_start)
        run = self.run
        if run is not None:
            run.stop(now=now)

    def signalled(self, again: bool) -> None:
        """Stop it, as a signal wants: a start ends. From any thread.

        At a second signal, a lifespan that is being left ends soon, too.
        """
        self.stop(now=again)
        call_in(self._loop, self._cut_start)
        if again:
            call_in(self._loop, self._hurry)

    @contextmanager
    def phases(self) -> Iterator[None]:
        """All phases: the block ends early if it is cut, without an error."""
        try:
            with self._block:
                yield
        finally:
            self._is_over = True
        if self._block.was_cut:
            phase = "leaving its lifespan" if self._is_leaving else "starting"
            logger.warning("%s: stopped while %s", self._name, phase)

    @contextmanager
    def running(self, run: WorkerRun) -> Iterator[None]:
        """The phase in which it runs: it knows itself how to stop."""
        self.run = run
        if self._told:
            run.stop(now=self._told_now)
        try:
            yield
        finally:
            self.run, self._is_leaving = None, True
            if self._in_a_hurry:
                self._loop.call_later(_LIFESPAN_GRACE, self._cut_again)

    def _note(self, now: bool) -> None:
        self._told, self._told_now = True, self._told_now or now
        if self.run is not None:  # it may have begun since this was called
            self.run.stop(now=now)

    def _cut_start(self) -> None:
        if self.run is None and not self._is_leaving and not self._block.was_cut:
            self._block.cut()

    def _hurry(self) -> None:
        if not self._in_a_hurry:
            self._in_a_hurry = True
            if self.run is None:
                self._cut_again()

    def _cut_again(self) -> None:
        """Cut, until it is over: a lifespan may have several things to close that hang."""
        if not self._is_over and self.run is None:
            self._block.cut()
            self._loop.call_later(_LIFESPAN_GRACE, self._cut_again)


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
            self._work.cancel()
            with suppress(BaseException):
                await wait_out(self._work, self._work.cancel)
            raise

    def stop(self, *, now: bool = False) -> None:
        """Tell it to stop: see `WorkerRun.stop`."""
        if self._run is not None:
            self._run.stop(now=now)

    async def end(self) -> None:
        """Stop, and let running tasks end. Raises what ended the run before.

        A cancellation cancels the run: what runs is requeued at once, and what the run uses is
        closed all the same.
        """
        self.stop()
        if self._work is not None:
            await wait_out(self._work, self._work.cancel)
            await self._work
