"""SIGTERM and SIGINT, passed on to whatever runs in the main thread's event loop.

The handlers are Python's, not the event loop's. A loop believes each byte that comes to it, also
one that a process wrote which was forked from this one. And Python calls its handlers even while
the loop is blocked.

A program that has handlers of its own keeps them: they are called as well.
"""

import _thread
import asyncio
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from ltq._aio.exit import exit_now
from ltq._aio.forks import STOP_SIGNALS, default_signals_in_forks, restore_default_handlers
from ltq._aio.threads import call_in
from ltq._aio.wakeup import Wakeup

logger = logging.getLogger("ltq.signals")

Stop = Callable[[bool], None]
"""Called to stop something: first with False; from the second time on with True, for "now"."""

SAME_SIGNAL = 0.05
"""Seconds within which signals are one signal.

A process may get one twice: by itself and with its process group, or passed on by its parent as
well. Nothing is stopped before that time is over, so whoever has seen a stop begin and sends
another signal has sent a second one.
"""

LAST_RESORT = 5.0
"""Seconds after a second signal at which the process is ended, if something still has not."""


class OwnHandler:
    """A handler of LTQ's own. Whatever takes the signal from it does not call it."""


class _Listener:
    """What is stopped by signals."""

    def __init__(self, stop: Stop, *, early: bool, lasts: bool) -> None:
        self.stop = stop
        self.early = early
        """Whether it is left out as soon as something else listens."""
        self.lasts = lasts
        """Whether the process goes on until it ends by itself."""
        self.was_told = False
        self.was_told_now = False

    def tell(self, now: bool) -> None:
        """Tell it to stop. From any thread, and from a signal handler."""
        _heard.untold = None
        if now and not self.was_told_now:
            self.was_told_now = True
            if not self.lasts:
                # Not a `Thread`: its lock may be held by the very code that the signal interrupts.
                _thread.start_new_thread(_end_at_last, (self,))
        self.stop(now)


@dataclass(slots=True)
class _Heard:
    """What is known of signals since something listens. Times are by `time.monotonic()`."""

    first: float | None = None
    """When the first one came, or a supervisor told to stop."""
    last: float = -math.inf
    """When the last one came that was not the same as the one before."""
    looked: float = -math.inf
    """When `told_to_stop_at` last looked for those that Python has not handled."""
    unread: int = 0
    """How many the event loop had not read then."""
    noticed: float = -math.inf
    """When that number had last grown."""
    untold: int | None = None
    """The first one, while neither what listens nor a handler of the program knows of it."""
    raised: BaseException | None = None
    """What the program's own handler raised: it comes when nothing listens any more."""


_listeners: list[_Listener] = []
_heard = _Heard()
_wakeup: Wakeup | None = None


@contextmanager
def stop_on_signals(stop: Stop, *, early: bool = False, lasts: bool = False) -> Iterator[None]:
    """In the block, the first signal calls `stop(False)`, and each further one `stop(True)`.

    Signals within `SAME_SIGNAL` seconds are one. If several blocks are entered, a signal calls the
    `stop` of each, except for those that are `early` where another is not. `stop(False)` is called
    in the event loop. `stop(True)` is called at once, even while the loop is blocked, so it may
    only do what any thread may. A block that does not end within `LAST_RESORT` seconds of a second
    signal ends the process, unless it `lasts`.

    The program's handlers are called as well, those of Python and those of an event loop, and are
    restored after the last block; what one of them raised is raised there. Only what interrupts
    the program by itself waits: Python's `KeyboardInterrupt`, and that of `asyncio.run`. A signal
    that comes too late for `stop` comes once more when the handlers are restored. Does nothing
    outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(stop, early=early, lasts=lasts)
    with ExitStack() as stack:
        stack.enter_context(default_signals_in_forks())
        _listeners.append(listener)  # first: a signal that is taken has somebody to tell
        try:
            _take(asyncio.get_running_loop())
            yield
        finally:
            _listeners.remove(listener)
            if not _listeners:
                _give_back()


def told_to_stop_at() -> float | None:
    """When the first signal came, or a supervisor told to stop, by `time.monotonic()`; else None.

    From any thread. It is there even while the event loop is blocked, and until nothing listens any
    more. Where the loop is blocked by a call that Python cannot interrupt, signals are noticed here
    first: also a second one, which means "now".
    """
    heard, before, known = _heard, _heard.looked, _heard.unread
    heard.looked, heard.unread = time.monotonic(), 0 if _wakeup is None else _wakeup.unread()
    is_news = heard.unread > known and heard.last <= before  # Python has not called `_handle`
    if is_news and heard.looked - heard.noticed >= SAME_SIGNAL:
        heard.noticed = heard.looked
        if known:
            for listener in _listening():
                listener.tell(True)
        heard.first = heard.looked if heard.first is None else heard.first
    return heard.first


def pass_stop_on(now: bool) -> bool:
    """Tell what listens to stop, as a supervisor wants. From any thread.

    It does not count as a signal: what is told by signals as well is not told twice. Returns False
    if nothing listens.
    """
    listening = _listening()
    if listening and _heard.first is None:
        _heard.first = time.monotonic()
    for listener in listening:
        listener.tell(now)
    return bool(listening)


class _Taken(OwnHandler):
    """Handles a signal in the place of `previous`, which is None if that is no Python handler.

    Others may have taken the signal after it, and give it back when nothing listens any more. Then
    it is as if it had never been there.
    """

    def __init__(self, previous: Any) -> None:
        self.previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """What Python calls, between two steps of whatever the main thread does."""
        if _wakeup is not None and _wakeup.process == os.getpid():
            is_known = self._call_previous(number, frame)
            _hear(_wakeup.loop, None if is_known else number)
            return
        if _wakeup is None:
            signal.signal(number, signal.SIG_DFL if self.previous is None else self.previous)
        else:  # a fork that Python did not see
            restore_default_handlers()
        signal.raise_signal(number)

    def _call_previous(self, number: int, frame: FrameType | None) -> bool:
        """Let a handler of the program know. Returns False if there is none."""
        if not callable(self.previous) or _interrupts(self.previous):
            return False
        try:
            self.previous(number, frame)
        except BaseException as error:  # often a SystemExit: tasks may end before
            _heard.raised = _heard.raised or error
        return True


def _interrupts(handler: Any) -> bool:
    """Whether a handler interrupts what runs, and is not one that the program has chosen."""
    if isinstance(handler, partial):  # that of `asyncio.run`
        return getattr(handler.func, "__func__", None) is asyncio.Runner._on_sigint  # type: ignore[attr-defined]  # noqa: SLF001  private, so not in the types
    return handler is signal.default_int_handler or isinstance(handler, OwnHandler)


def _take(loop: asyncio.AbstractEventLoop) -> None:
    """Handle the signals, whoever handles them now."""
    global _wakeup
    for number in STOP_SIGNALS:
        handler = signal.getsignal(number)
        if not isinstance(handler, _Taken):
            signal.signal(number, _Taken(handler))
    wakeup = Wakeup(STOP_SIGNALS) if _wakeup is None else _wakeup
    wakeup.take(loop)
    _wakeup = wakeup


def _give_back() -> None:
    """Restore the handlers, and raise what one of them has raised, or a signal nobody knows of."""
    global _heard, _wakeup
    for number in STOP_SIGNALS:
        handler = signal.getsignal(number)
        # None is a handler that is not Python's: it cannot be given back.
        if isinstance(handler, _Taken) and handler.previous is not None:
            signal.signal(number, handler.previous)
    if _wakeup is not None:
        _wakeup.close()
    raised, untold = _heard.raised, _heard.untold
    _wakeup, _heard = None, _Heard()
    if raised is not None:
        raise raised
    if untold is not None:
        signal.raise_signal(untold)


def _hear(loop: asyncio.AbstractEventLoop, number: int | None) -> None:
    """Count a signal, and tell what listens. Its `number` is None if the program knows of it."""
    now = time.monotonic()
    if now - _heard.last < SAME_SIGNAL:
        return
    _heard.last = now
    if _heard.first is None:
        _heard.first, _heard.untold = now, number
    listening = _listening()
    for listener in listening:
        if listener.was_told:
            listener.tell(True)
    if not all(listener.was_told for listener in listening):
        for listener in listening:
            listener.was_told = True
        call_in(loop, loop.call_later, SAME_SIGNAL, _begin)


def _begin() -> None:
    """Tell everything that listens by now. Telling something twice that it should stop is fine."""
    for listener in _listening():
        listener.was_told = True
        listener.tell(False)


def _listening() -> list[_Listener]:
    late = [listener for listener in _listeners if not listener.early]
    return late or list(_listeners)


def _end_at_last(listener: _Listener) -> None:
    """End the process if a listener that was told to end at once has not done so in time."""
    time.sleep(LAST_RESORT)
    if listener in _listeners:
        logger.error("not ended within %g s of a second signal: ending the process", LAST_RESORT)
        exit_now(0)
