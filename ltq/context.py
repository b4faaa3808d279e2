"""What a running task can learn about itself: `ltq.current()`."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import ContextVar
from typing import Any

from ltq._aio.loops import loop_here
from ltq._display.values import short_repr
from ltq.broker import Settler
from ltq.errors import BrokerError, ConfigurationError, RunOverError
from ltq.logger import running
from ltq.message import Lease, Message
from ltq.state import Progress

logger: logging.Logger = logging.getLogger("ltq.worker")

_WRITE_EVERY = 0.1
"""Seconds between two writes of one task's progress."""

_handover = threading.Lock()
"""Held for a moment while progress goes from one thread to another."""


class Context:
    """The run of a task, seen from inside the task."""

    __slots__ = (
        *("_is_announced", "_is_over", "_latest", "_lease", "_loop", "_lost", "_settler"),
        *("_writer", "message"),
    )

    def __init__(
        self,
        message: Message[Any],
        lease: Lease,
        settler: Settler,
        lost: Callable[[Lease], None] = lambda _: None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.message: Message[Any] = message
        """The message as middleware sees it."""
        self._lease = lease
        self._settler = settler
        self._lost = lost
        self._loop = loop or asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_announced = False
        """Whether the event loop is about to look at what a thread reported."""
        self._is_over = False

    @property
    def task_name(self) -> str:
        """`"worker:function"`."""
        return self.message.task_name

    @property
    def id(self) -> str:
        """The task's id."""
        return self.message.id

    @property
    def attempt(self) -> int:
        """The number of this try: failed runs before it, plus one."""
        return self.message.tries + 1

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags: those that it declares, and those of its send."""
        return self.message.tags

    @property
    def is_over(self) -> bool:
        """Whether the worker has ended this run: timed out, cancelled, lost or requeued.

        A coroutine is cancelled then. A thread cannot be cancelled: a long `def` task should check
        this from time to time, and return.
        """
        return self._is_over

    async def progress(self, current: float, total: float | None = None, note: str = "") -> None:
        """Report progress, in the task's state and to everyone who watches it.

        It is written at most 10 times a second; of faster calls only the last one counts. A plain
        `def` task calls `progress_sync`. In an event loop of the task's own it is `progress_sync`.
        """
        if loop_here() is not self._loop:
            self.progress_sync(current, total, note)
            return
        with _handover:
            self._latest = Progress(current, total, note)
        if self._start_writing():
            await asyncio.sleep(0)

    def progress_sync(self, current: float, total: float | None = None, note: str = "") -> None:
        """`progress` for plain `def` tasks, and for other threads that a task starts.

        It never blocks: the worker's event loop writes it, like `progress`. Raises `RunOverError`
        if the run is over, so that its thread ends, and `ConfigurationError` in the event loop
        itself, where `progress` is to be awaited.
        """
        if loop_here() is self._loop:
            raise ConfigurationError(
                "progress_sync is for threads: use `await ltq.current().progress(...)` in the "
                "worker's event loop"
            )
        if self._is_over:
            raise self._over()
        with _handover:
            self._latest = Progress(current, total, note)
            if self._is_announced:
                return
            self._is_announced = True
        try:
            self._loop.call_soon_threadsafe(self._take_over)
        except RuntimeError:  # the loop is closed, and the worker with it
            raise self._over() from None

    def close(self) -> None:
        """End the run: no more progress is written."""
        self._is_over = True
        if self._writer is not None:
            self._writer.cancel()

    def _over(self) -> RunOverError:
        return RunOverError(
            f"the run of {self.task_name} {self.id} is over: it ended, timed out, was cancelled, "
            "lost its lease or was requeued"
        )

    def _take_over(self) -> None:
        """Write what a thread has reported. Called in the event loop."""
        with _handover:
            self._is_announced = False
        if not self._is_over:
            self._start_writing()

    def _start_writing(self) -> bool:
        """Write the latest progress; return False if that is under way already."""
        if self._writer is not None and not self._writer.done():
            return False
        self._writer = asyncio.create_task(self._write())
        return True

    def _next(self) -> Progress | None:
        with _handover:
            progress, self._latest = self._latest, None
        return progress

    async def _write(self) -> None:
        while (progress := self._next()) is not None:
            try:
                _check(progress)
                if not await self._settler.progress(self._lease, progress):
                    self._lost(self._lease)
                    return
            except BrokerError as error:
                logger.debug("progress of task %s was not written: %s", self.id, error)
            except Exception as error:  # the task's mistake
                logger.warning("progress of task %s cannot be written: %s", self.id, error)
            await asyncio.sleep(_WRITE_EVERY)


def _check(progress: Progress) -> None:
    """Raise `TypeError` for progress that no watcher could read."""
    total: object = 0 if progress.total is None else progress.total
    numbers: list[object] = [progress.current, total]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
        raise TypeError(f"{short_repr(progress)} is not allowed: its numbers must be finite")
    if not isinstance(progress.note, str):
        raise TypeError(f"{short_repr(progress)} is not allowed: its note must be a text")


_current: ContextVar[Context] = ContextVar("ltq.current")


def current() -> Context:
    """The running task's context. Raises `ConfigurationError` outside a task's run."""
    context = _current.get(None)
    if context is None:
        raise ConfigurationError("ltq.current() was called outside a running task")
    return context


def enter(context: Context) -> None:
    """Make a context the current one, for the rest of this asyncio task."""
    _current.set(context)
    running.set(context)  # for log records: `ltq.logger` may not import this module


def leave() -> None:
    """From now on, log records of this asyncio task belong to no LTQ task."""
    running.set(None)


def message_in(variables: Variables, lease: Lease) -> Message[Any] | None:
    """The message that is run under a lease, if a context of variables belongs to that run."""
    context = variables.get(_current)
    if context is None or context._lease != lease:  # noqa: SLF001  a friend of its class
        return None
    return context.message


def lease_in(variables: Variables) -> Lease | None:
    """The lease of the run that a context of variables belongs to, if there is one."""
    context = variables.get(_current)
    return None if context is None else context._lease  # noqa: SLF001  a friend of its class
