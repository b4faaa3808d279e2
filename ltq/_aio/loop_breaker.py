"""What broke an event loop, and in whose context.

Only a SystemExit or a KeyboardInterrupt leaves an event loop: one that was raised in a callback, or
in an asyncio task. `asyncio.run` then runs the loop once more, to cancel what is left, while it
still handles that error.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from contextvars import Context
from traceback import walk_tb
from types import FrameType
from typing import Any

_LOOPS = ("runners.py", "selectors.py", "base_events.py", ".pyx")
"""The ends of the names of files whose code raises a KeyboardInterrupt only for a signal."""

Breaker = SystemExit | KeyboardInterrupt


class CancelHook(asyncio.Future[None]):
    """A future that calls a function when the asyncio task that awaits it is cancelled.

    The call comes at once, before any cancelled task goes on.
    """

    def __init__(self, cancelled: Callable[[], object]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._cancelled = cancelled

    def cancel(self, msg: Any = None) -> bool:
        self._cancelled()
        return super().cancel(msg)


def handled_around() -> BaseException | None:
    """The error that is handled now; outside of `except` and `finally`, by the code around.

    For a coroutine, that is the code that runs the event loop.
    """
    return sys.exc_info()[1]


def is_stop(error: BaseException) -> bool:
    """Whether an error says that somebody called `stop` of the event loop."""
    return type(error) is RuntimeError and "Event loop stopped" in str(error)


def ran_for(task: "asyncio.Task[Any]", error: BaseException) -> bool:
    """Whether a loop that broke with this error ran until the end of a task, which goes on."""
    frames = [frame.f_locals for frame in _frames(error)]
    main = {id(frame.get(name)) for frame in frames for name in ("task", "future")}
    return not task.done() and id(task) in main


def is_interrupt(error: BaseException) -> bool:
    """Whether an error was raised for a signal while no user's code ran."""
    frames = _frames(error)
    return isinstance(error, KeyboardInterrupt) and (
        not frames or frames[-1].f_code.co_filename.endswith(_LOOPS)
    )


def contexts_of(error: Breaker) -> list[Context]:
    """The contexts of the callbacks and asyncio tasks that raised an error, as far as known."""
    found: list[Context] = []
    for frame in _frames(error):
        handle = frame.f_locals.get("self")
        if isinstance(handle, asyncio.Handle):
            found += contexts_held_by(handle)
    # A task keeps the error that ended it. Those that wait for it may know it as well.
    futures = [one for one in gc.get_objects() if issubclass(type(one), asyncio.Future)]
    failed = {id(future): future for future in futures if _has_ended_with(future, error)}
    for task in futures:
        if isinstance(task, asyncio.Task) and (
            id(task) in failed or any(id(one) in failed for one in gc.get_referents(task))
        ):
            found += contexts_held_by(task)
    return found


def _has_ended_with(future: "asyncio.Future[Any]", error: BaseException) -> bool:
    return future.done() and not future.cancelled() and future.exception() is error


def contexts_held_by(holder: object) -> list[Context]:
    """The contexts that a handle or an asyncio task holds.

    Before Python 3.12 there is no public way to them.
    """
    return [one for one in gc.get_referents(holder) if isinstance(one, Context)]


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in walk_tb(error.__traceback__)]
