"""Event loops whose timers follow a test's clock, for code in the clock's world.

The world is a context variable. Whatever is started in a world belongs to it as well, even if it is
started in an empty context, as background work is. All other code keeps real time. No other part
of LTQ knows about this: an event loop gives each caller the right kind of timer.
"""

import asyncio
import heapq
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from contextvars import Context, ContextVar
from itertools import count
from typing import Any, cast
from weakref import WeakKeyDictionary

_MOST_TURNS = 1_000_000
"""Turns of an event loop at one moment of a clock, after which it counts as an endless loop."""

_OWN_FILES = 1
"""Files that a selector loop watches for itself: the pipe through which threads wake it."""


class Timer(asyncio.TimerHandle):
    """A timer of a timeline, as a loop's `call_later` returns it."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._subjects = args

    def cancel(self) -> None:
        """Never call it."""
        asyncio.Handle.cancel(self)  # the real loop does not count this timer among its own

    def fire(self) -> None:
        """Call it, unless it was cancelled."""
        if not self.cancelled():
            self._run()

    def wakes(self, future: object) -> bool:
        """Whether it will end a future, such as that of a sleep."""
        return not self.cancelled() and any(one is future for one in self._subjects)


class Timeline:
    """The timers of one clock in one event loop. `time` returns the clock's loop time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, time: Callable[[], float]) -> None:
        self.loop = loop
        self.time = time
        self.is_over: bool = False
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._loop = _LOOPS.get(loop) or FollowingLoop(loop)
        self._loop.users += 1

    @property
    def next(self) -> float:
        """The loop time of the next timer; infinity if there is none."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else math.inf

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> Timer:
        """Set a timer."""
        timer = Timer(when, callback, args, self.loop, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def fire(self) -> None:
        """Call the timers that are due, in order."""
        while self.next <= self.time():
            self.loop.call_soon(heapq.heappop(self._timers)[2].fire)

    def sleeps(self, future: object) -> bool:
        """Whether a timer will end a future."""
        return any(timer.wakes(future) for _, _, timer in self._timers)

    async def quiesce(self) -> None:
        """Wait until nothing in the event loop is ready to run."""
        for _ in range(_MOST_TURNS):
            before = self._loop.called
            await asyncio.sleep(0)
            if self._loop.called - before <= 1:  # only this coroutine's own step
                return
        raise RuntimeError(
            "the event loop does not become idle while the clock stands still: "
            "does something retry for ever without a pause?"
        )

    def has_outside(self) -> bool:
        """Whether anything outside may wake the event loop: a socket, a thread of its pool."""
        return self._loop.has_outside()

    def release(self) -> None:
        """Let its timers, and those that are set from now on, follow real time."""
        if self.is_over:
            return
        now, self.is_over = self.time(), True
        self._loop.leave()
        timers, self._timers = self._timers, []
        for when, _, timer in timers:
            if not timer.cancelled() and not self.loop.is_closed():
                self.loop.call_later(max(0.0, when - now), timer.fire)


WORLD: ContextVar[Timeline | None] = ContextVar("ltq.testing.world", default=None)
"""The timeline that the running code follows."""


class FollowingLoop:
    """Replaces an event loop's methods for timers while a timeline uses it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self.called = 0
        """How many callbacks the loop was given."""
        self._loop = loop
        self._pending: set[asyncio.Future[Any]] = set()
        stand_ins: dict[str, Callable[..., Any]] = {
            "time": self._time,
            "call_later": self._call_later,
            "call_at": self._call_at,
            "call_soon": self._counted(loop.call_soon),
            "call_soon_threadsafe": self._counted(loop.call_soon_threadsafe),
            "run_in_executor": self._run_in_executor,
            "create_task": self._create_task,
        }
        self._real = {name: getattr(loop, name) for name in stand_ins}
        self._before = {name: vars(loop)[name] for name in stand_ins if name in vars(loop)}
        vars(loop).update(stand_ins)
        _LOOPS[loop] = self

    def leave(self) -> None:
        """A timeline no longer uses it; after the last one, the loop gets its methods back."""
        self.users -= 1
        if not self.users:
            _LOOPS.pop(self._loop, None)
            for name in self._real:
                vars(self._loop).pop(name, None)
            vars(self._loop).update(self._before)

    def has_outside(self) -> bool:
        """Whether anything outside of the loop may wake it."""
        files = getattr(getattr(self._loop, "_selector", None), "get_map", None)
        if self._pending or files is None:  # another kind of loop does not tell, so it may
            return True
        return len(files() or ()) > _OWN_FILES

    def _timeline(self) -> Timeline | None:
        timeline = WORLD.get()
        if timeline is None or timeline.is_over or timeline.loop is not self._loop:
            return None
        return timeline

    def _time(self) -> float:
        timeline = self._timeline()
        return cast(float, self._real["time"]()) if timeline is None else timeline.time()

    def _create_task(
        self, work: Coroutine[Any, Any, Any], *, context: Context | None = None, **options: Any
    ) -> "asyncio.Task[Any]":
        """Start a task in the world of its caller, even if its context is empty."""
        if context is not None and WORLD not in context:
            context.run(WORLD.set, WORLD.get())
        task: asyncio.Task[Any] = self._real["create_task"](work, context=context, **options)
        return task

    def _call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timeline = self._timeline()
        if timeline is not None:
            return timeline.call_at(timeline.time() + delay, callback, args, context)
        # The real method may call `call_at` and `time`, which then find the same world.
        real = self._real["call_later"](delay, callback, *args, context=context)
        return cast(asyncio.TimerHandle, real)

    def _call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timeline = self._timeline()
        if timeline is not None:
            return timeline.call_at(when, callback, args, context)
        return cast(
            asyncio.TimerHandle, self._real["call_at"](when, callback, *args, context=context)
        )

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(callback: Callable[..., object], *args: Any, **context: Any) -> Any:
            self.called += 1
            return real(callback, *args, **context)

        return call

    def _run_in_executor(
        self, executor: Any, function: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self._real["run_in_executor"](executor, function, *args)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future


_LOOPS: "WeakKeyDictionary[asyncio.AbstractEventLoop, FollowingLoop]" = WeakKeyDictionary()


def awaited_by(tasks: Iterable["asyncio.Task[Any]"]) -> Iterator["asyncio.Future[Any]"]:
    """The future that each task waits for. If it waits for another task, that task's future."""
    for task in tasks:
        future: Any = task
        with suppress(AttributeError):
            while isinstance(future, asyncio.Task):
                future = getattr(future, "_fut_waiter", None)
        if future is not None and not future.done():
            yield future
