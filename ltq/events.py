"""What happens to tasks in this process, as a stream of typed events."""

import asyncio
import inspect
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.logger import ThrottledLogger
from ltq.message import Delivery, Envelope, Finish, Outcome, Published
from ltq.options import positive_int

logger: logging.Logger = logging.getLogger("ltq.events")

DEFAULT_BUFFER = 1000


class EventKind(StrEnum):
    """What happened."""

    ENQUEUED = "enqueued"
    """This process sent it, and no task with its id existed."""
    STARTED = "started"
    """A run begins. One of the kinds below follows for each."""
    RETRIED = "retried"
    """The run failed, and the task will run again."""
    REQUEUED = "requeued"
    """The run ended without using up a try: its worker stops, does not know the task or its
    serializer, or has no thread for it."""
    COMPLETED = "completed"
    """The run returned a result."""
    FAILED = "failed"
    """The run failed, and the task will not run again."""
    REJECTED = "rejected"
    """The task was rejected: by a `RejectError`, or as too old or undecodable."""
    CANCELLED = "cancelled"
    """The run was stopped because the task was cancelled."""
    LOST = "lost"
    """The run was stopped because its lease was lost: the task runs elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a task in this process."""

    kind: EventKind
    task_name: str
    id: str
    attempt: int
    """The number of the try, from 1; 0 for ENQUEUED."""
    time: float
    """When it happened: Unix seconds, by this machine's clock."""
    duration: float | None = None
    """Seconds the run took; None before its end, or if nobody listened when it began."""
    error: str | None = None
    """`"ValueError: text"`, or the reason of a rejection."""


EventListener = Callable[[Event], object]


class EventStream:
    """The events of one worker, for its listeners. It may be used from any thread.

    Check `is_heard` before each call, so that no events are made without a listener.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self.is_heard: bool = False
        self._name = name
        self._clock = clock
        self._listeners: tuple[EventListener, ...] = ()
        self._buffers: tuple[_Buffer, ...] = ()
        self._lock = threading.RLock()  # a reader may be collected within it

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        """Call `listener` with each event from now on; return a function that ends that."""
        if not callable(listener):
            raise ConfigurationError(
                f"callback={short_repr(listener)} is not allowed: a function that takes an Event"
            )
        if inspect.iscoroutinefunction(listener):
            raise ConfigurationError(
                f"{listener!r} is a coroutine function and cannot be subscribed: a coroutine reads "
                "events with `async for event in worker.events()`"
            )

        def heard(event: Event) -> object:  # a new object, so that each subscription has its own
            return listener(event)

        return self._add(heard)

    def read(self, buffer: int) -> "EventReader":
        """An iterator over the events from now on, which keeps the latest `buffer` unread ones."""
        kept = _Buffer(self._name, positive_int("buffer", buffer))
        undo = self._add(kept.put)
        with self._lock:
            self._buffers += (kept,)

        def forget() -> None:
            undo()
            with self._lock:
                self._buffers = tuple(one for one in self._buffers if one is not kept)

        return EventReader(kept, forget)

    def end(self, *, everywhere: bool) -> None:
        """End the readers of the running event loop; with `everywhere`, those of all threads."""
        here = asyncio.get_running_loop()
        for buffer in self._buffers:
            if everywhere or buffer.loop is here:
                buffer.end()

    def enqueued(self, envelopes: Sequence[Envelope], answers: Sequence[Published]) -> None:
        """Tell listeners what was sent."""
        now = self._clock()
        for envelope, answer in zip(envelopes, answers, strict=True):
            if answer is Published.CREATED:
                kind, name = EventKind.ENQUEUED, envelope.task_name
                self._tell(Event(kind=kind, task_name=name, id=envelope.id, attempt=0, time=now))

    def started(self, delivery: Delivery) -> None:
        """Tell listeners that a run begins."""
        self._tell_of(delivery, EventKind.STARTED)

    def ended(
        self, delivery: Delivery, end: Outcome | EventKind, duration: float | None = None
    ) -> None:
        """Tell listeners how a run ended, after `duration` seconds."""
        if isinstance(end, EventKind):
            self._tell_of(delivery, end, duration)
            return
        error = None if end.failure is None else end.failure.text
        self._tell_of(delivery, _kind_of(end), duration, error)

    def _tell_of(
        self,
        delivery: Delivery,
        kind: EventKind,
        duration: float | None = None,
        error: str | None = None,
    ) -> None:
        event = Event(
            kind=kind,
            task_name=delivery.task_name,
            id=delivery.lease.id,
            attempt=delivery.tries + 1,
            time=self._clock(),
            duration=duration,
            error=error,
        )
        self._tell(event)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except BaseException:  # whatever it is, the event happened
                with suppress(BaseException):  # users' log handlers
                    logger.exception("event listener for %s failed", self._name)

    def _add(self, listener: EventListener) -> Callable[[], None]:
        def undo() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)
                self.is_heard = bool(self._listeners)

        with self._lock:
            self._listeners += (listener,)
            self.is_heard = True
        return undo


def _kind_of(outcome: Outcome) -> EventKind:
    if isinstance(outcome, Finish):
        return EventKind(outcome.status.value)
    return EventKind.RETRIED if outcome.failed else EventKind.REQUEUED


class _Buffer:
    """The events that a reader has not read yet: the latest `limit` of them."""

    def __init__(self, name: str, limit: int) -> None:
        self.dropped: int = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop in which it is read."""
        with suppress(RuntimeError):
            self.loop = asyncio.get_running_loop()
        self._name = name
        self._limit = limit
        self._events: deque[Event] = deque()
        self._ended = False
        self._wake: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._throttled = ThrottledLogger(logger)

    def put(self, event: Event) -> None:
        """Keep an event, and drop the oldest if there is no room. From any thread."""
        with self._lock:
            if self._ended:
                return
            late = len(self._events) >= self._limit
            if late:
                self._events.popleft()
                self.dropped += 1
            self._events.append(event)
            self._notify()
        if late:
            self._throttled.warning(
                "event reader for %s is too slow: %d events dropped so far",
                self._name,
                self.dropped,
            )

    def end(self, *, forget: bool = False) -> None:
        """Let the reader end after the events that are there; with `forget`, at once."""
        with self._lock:
            self._ended = True
            if forget:
                self._events.clear()
            self._notify()

    async def get(self) -> Event | None:
        """The next event; None at the end."""
        while True:
            with self._lock:
                if self._events:
                    return self._events.popleft()
                if self._ended:
                    return None
                if self._wake is not None:
                    raise RuntimeError(
                        "two coroutines read one iterator of events: give each its own"
                    )
                self.loop, wake = asyncio.get_running_loop(), asyncio.Event()
                self._wake = wake
            try:
                await wake.wait()
            finally:
                self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and self.loop is not None:
            with suppress(RuntimeError):  # that loop is closed, so nothing waits
                self.loop.call_soon_threadsafe(self._wake.set)


class EventReader:
    """The events of a worker, from `worker.events()`: an async iterator.

    Its buffer keeps the latest events that were not read yet; `dropped` counts the older ones that
    were lost because reading was too slow.
    """

    def __init__(self, buffer: _Buffer, undo: Callable[[], None]) -> None:
        self._buffer = buffer
        # A reader that is dropped without `aclose`, by a `break`, must cost nothing either.
        self._undo = weakref.finalize(self, undo)
        self._undo.atexit = False

    @property
    def dropped(self) -> int:
        """How many events were lost because reading was too slow."""
        return self._buffer.dropped

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event, once there is one."""
        event = await self._buffer.get()
        if event is None:
            self._undo()
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Stop listening: the iteration ends."""
        self._undo()
        self._buffer.end(forget=True)
