"""What a running task can learn about itself: `ltq.current()`."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import ContextVar
from typing import Any, Protocol

from ltq._aio.loops import loop_here
from ltq._display.values import short_repr
from ltq._sender.follow_ups import FollowUps
from ltq._sender.prepared import PreparedMessage
from ltq._sender.sent import Sent
from ltq.errors import BrokerError, ConfigurationError, InvalidArgumentsError, RunOverError
from ltq.logger import running
from ltq.message import Envelope, Lease, Message
from ltq.state import Progress
from ltq.task import Task

logger: logging.Logger = logging.getLogger("ltq.worker")

_WRITE_EVERY = 0.1
"""Seconds between two writes of one task's progress."""

_handover = threading.Lock()
"""Held for a moment while progress goes from one thread to another."""


class RunBroker(Protocol):
    """What the run of a task asks of its broker."""

    @property
    def url(self) -> str:
        """Its URL, without user and password."""
        ...

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """See `Settler.progress`."""
        ...


class Context:
    """The run of a task, seen from inside the task."""

    __slots__ = (
        "_follow_ups",
        "_is_announced",
        "_is_complete",
        "_is_over",
        "_latest",
        "_lease",
        "_loop",
        "_lost",
        "_store",
        "_writer",
        "message",
    )

    def __init__(
        self,
        message: Message[Any],
        lease: Lease,
        store: RunBroker,
        lost: Callable[[Lease], None] = lambda _: None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.message: Message[Any] = message
        """The message as middleware sees it."""
        self._lease = lease
        self._store = store
        self._lost = lost
        self._loop = loop or asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_announced = False
        """Whether the event loop is about to look at what a thread reported."""
        self._is_over = False
        self._is_complete = False
        self._follow_ups: FollowUps | None = None

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

    async def send_after(self, message: Message[Any]) -> None:
        """Send a message if, and only if, this run completes: in the same step as its outcome.

            await ltq.current().send_after(receipt.message(order))

        Nothing is sent yet, and nothing at all by a run that fails, is retried, cancelled or put
        back. The message may be one of any task of the same broker, with options of its own, of
        which `max_pending` does not count; `delay` begins when the run has completed. A run may
        send any number of messages, of 16 MiB in all. A plain `def` task calls `send_after_sync`.

        Raises `InvalidArgumentsError` for what `task.message(...)` has not made, for wrong
        arguments and for too many bytes, `ConfigurationError` for a task of another broker,
        `RunOverError` if the run is over, and any `LtqError` that `Middleware.on_send` raises.
        """
        self.send_after_sync(message)

    def send_after_sync(self, message: Message[Any]) -> None:
        """`send_after` for plain `def` tasks, and for other threads that a task starts.

        It never blocks. Raises what `send_after` raises.
        """
        task = message.task if isinstance(message, PreparedMessage) else None
        if not isinstance(task, Task):
            raise InvalidArgumentsError(
                f"{short_repr(message)} cannot be sent after this run: give what "
                "task.message(...) returned"
            )
        sent = Sent()
        envelope = _follow_up(task, message, self._store, sent)
        with _handover:
            follow_ups = self._follow_ups = self._follow_ups or FollowUps()
        # Asked behind that, so that `_complete` sees it, or is seen.
        if self._is_complete or self._is_over or not follow_ups.add(envelope, sent):
            sent.end(False)
            raise self._over()

    def _complete(self) -> FollowUps | None:
        """The run has completed. Returns what it sends; from now on it takes no more."""
        self._is_complete = True
        return self._follow_ups

    def close(self) -> None:
        """End the run: no more progress is written, and nothing more is to follow."""
        self._is_over = True
        if self._follow_ups is not None and not self._is_complete:
            self._follow_ups.end(False)
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
                if not await self._store.progress(self._lease, progress):
                    self._lost(self._lease)
                    return
            except BrokerError as error:
                logger.debug("progress of task %s was not written: %s", self.id, error)
            except Exception as error:  # the task's mistake
                logger.warning("progress of task %s cannot be written: %s", self.id, error)
            await asyncio.sleep(_WRITE_EVERY)


def _follow_up(
    task: Task[..., Any], message: Message[Any], store: RunBroker, sent: Sent
) -> Envelope:
    """The envelope of a message that follows a run. Raises what `Context.send_after` raises."""
    broker = task._broker()  # noqa: SLF001  a friend of its class
    if broker is not store and broker.url != store.url:
        raise ConfigurationError(
            f"{task.name} cannot follow this run: it is on {broker.url}, and the run on {store.url}"
        )
    return task._follow_up(message, sent)  # noqa: SLF001


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


def _follow_ups() -> FollowUps | None:
    """What the present run sends, now that it has completed; None for nothing. It takes no more."""
    context = _current.get(None)
    return None if context is None else context._complete()  # noqa: SLF001  a friend
