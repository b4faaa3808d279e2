"""Deadlines of many short waits, with one timer for all."""

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Protocol, Self

_RESOLUTION = 0.001
"""Seconds by which a timer may be early: uvloop counts whole milliseconds."""

_GRACE = 0.02
"""Seconds between the end of the time and the cancellation. A loop that was blocked sees first that
the time is up, and then what has arrived meanwhile."""

_DOUBT_SHARE = 0.25
"""The part of a deadline's time after which silence is doubtful."""


class Activity(Protocol):
    """Something whose signs of life prolong a deadline."""

    def lasts_until(self, now: float, patience: float) -> float:
        """When it has been silent for `patience` seconds, by the loop's time, as far as known."""
        ...


class Deadlines:
    """Cancels what takes too long in one event loop, as `asyncio.timeout` does.

    It has one timer for all deadlines. With thousands of calls a second, a timer for each would
    cost as much as the calls themselves. A deadline that has an `activity` is one of silence: the
    time begins again with each sign of life. One that has none yet waits for its turn, and any
    activity here counts for it. `doubt` is called when a quarter of a deadline's time has passed
    in silence, once for each deadline that asks for it.
    """

    def __init__(self, doubt: Callable[[], None] = lambda: None) -> None:
        self._doubt = doubt
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float, *, doubts: bool = False) -> "Deadline":
        """A context manager that raises `TimeoutError` if its block takes longer than `seconds`."""
        return Deadline(self, seconds, doubts)

    def doubted(self) -> "list[Activity]":
        """What was silent when `doubt` was called, and has not ended since."""
        return [one.activity for one in self._open if one.is_doubted and one.activity is not None]

    def add(self, deadline: "Deadline", loop: asyncio.AbstractEventLoop) -> None:
        """Start to watch a deadline."""
        self._open.add(deadline)
        if self._timer is None or deadline.at < self._timer.when():
            self._set(deadline.at, loop)

    def discard(self, deadline: "Deadline") -> None:
        """Stop watching a deadline. The timer stays: the next deadline can probably use it."""
        self._open.discard(deadline)

    def close(self) -> None:
        """Drop the timer, unless a deadline is still watched."""
        if self._timer is not None and not self._open:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # In an empty context: otherwise the first caller's would live as long as calls are made.
        self._timer = loop.call_at(when, self._check, loop, context=Context())

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time() + _RESOLUTION
        for deadline in [one for one in self._open if one.at <= now]:
            if deadline.doubts and not deadline.is_doubted:
                self._check_silence(deadline, now)
            else:
                self._check_end(deadline, now)
        if self._open:
            self._set(min(one.at for one in self._open), loop)

    def _check_silence(self, deadline: "Deadline", now: float) -> None:
        silence = _DOUBT_SHARE * deadline.seconds
        until = self._until(deadline, now, silence)
        if until > now:
            deadline.at = until
        else:
            deadline.at, deadline.is_doubted = now + deadline.seconds - silence, True
            self._doubt()

    def _check_end(self, deadline: "Deadline", now: float) -> None:
        until = self._until(deadline, now, deadline.seconds)
        if until > now:
            deadline.at, deadline.is_over = until, False
        elif not deadline.is_over:
            deadline.at, deadline.is_over = now + _GRACE, True
        else:
            self._open.discard(deadline)
            deadline.expire()

    def _until(self, deadline: "Deadline", now: float, patience: float) -> float:
        """When a deadline has been silent for so long, if there are no further signs of life."""
        own = deadline.activity
        activities = [one.activity for one in self._open] if own is None else [own]
        ends = (one.lasts_until(now, patience) for one in activities if one is not None)
        return max(ends, default=-math.inf)


class Deadline:
    """The deadline of one block in one asyncio task; made by `Deadlines.within`."""

    __slots__ = (
        "_cancelling",
        "_expired",
        "_owner",
        "_task",
        "activity",
        "at",
        "began",
        "doubts",
        "is_doubted",
        "is_over",
        "seconds",
    )

    def __init__(self, owner: Deadlines, seconds: float, doubts: bool) -> None:
        self._owner = owner
        self.seconds = seconds
        self.doubts = doubts
        """Whether it asks for a doubt."""
        self.is_doubted = False
        self.activity: Activity | None = None
        """Whose signs of life prolong it."""
        self.is_over = False
        """Whether the time is up, and only the grace is left."""

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs an asyncio task, which it can cancel")
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self.began = loop.time()
        self.at = self.began + (_DOUBT_SHARE * self.seconds if self.doubts else self.seconds)
        self._owner.add(self, loop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner.discard(self)
        is_ours = self._expired and self._task.uncancel() <= self._cancelling
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task: the time is up."""
        self._expired = True
        self._task.cancel()
