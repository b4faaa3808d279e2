"""SIGTERM and SIGINT, passed on to whatever runs in the main thread's event loop.

The handlers are Python's, not the event loop's. A loop believes each byte that comes to it, also
one that a process wrote which was forked from this one. And Python calls its handlers even while
the loop is blocked.
"""

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ltq._aio.forks import STOP_SIGNALS, default_signals_in_forks, restore_default_handlers
from ltq._aio.threads import call_in
from ltq._aio.wakeup import Wakeup

Stop = Callable[[bool], None]
"""Called to stop something: first with False; from the second time on with True, for "now"."""

SAME_SIGNAL = 0.05
"""Seconds within which signals are one signal.

A process may get one twice: by itself and with its process group, or passed on by its parent as
well. Nothing is stopped before that time is over, so whoever has seen a stop begin and sends
another signal has sent a second one.
"""


class _Listener:
    """What is stopped by signals."""

    def __init__(self, stop: Stop, *, early: bool) -> None:
        self.stop = stop
        self.early = early
        """Whether it is left out as soon as something else listens."""
        self.was_told = False


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


_listeners: list[_Listener] = []
_heard = _Heard()
_previous: dict[signal.Signals, Any] = {}
_wakeup: Wakeup | None = None


@contextmanager
def stop_on_signals(stop: Stop, *, early: bool = False) -> Iterator[None]:
    """In the block, the first signal calls `stop(False)`, and each further one `stop(True)`.

    Signals within `SAME_SIGNAL` seconds are one. If several blocks are entered, a signal calls the
    `stop` of each, except for those that are `early` where another is not; after the last one, the
    former handlers are restored. `stop(False)` is called in the event loop. `stop(True)` is called
    at once, even while the loop is blocked, so it may only do what any thread may. Does nothing
    outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(stop, early=early)
    with ExitStack() as stack:
        stack.enter_context(default_signals_in_forks())
        _take(asyncio.get_running_loop())
        _listeners.append(listener)
        try:
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
                listener.stop(True)
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
        listener.stop(now)
    return bool(listening)


def _take(loop: asyncio.AbstractEventLoop) -> None:
    """Handle the signals, whoever handles them now."""
    global _wakeup
    for number in STOP_SIGNALS:
        handler = signal.getsignal(number)
        if handler is not _handle:
            _previous.setdefault(number, handler)
            signal.signal(number, _handle)
    if _wakeup is None:
        _wakeup = Wakeup(STOP_SIGNALS)
    _wakeup.take(loop)


def _give_back() -> None:
    global _heard, _wakeup
    for number, handler in _previous.items():
        # None is a handler that is not Python's: it cannot be given back.
        if handler is not None and signal.getsignal(number) is _handle:
            signal.signal(number, handler)
    _previous.clear()
    if _wakeup is not None:
        _wakeup.close()
    _wakeup, _heard = None, _Heard()


def _handle(number: int, frame: FrameType | None) -> None:
    """What Python calls, between two steps of whatever the main thread does."""
    if _wakeup is None or _wakeup.process != os.getpid():  # a fork that Python did not see
        restore_default_handlers()
        signal.raise_signal(number)
        return
    now = time.monotonic()
    if now - _heard.last < SAME_SIGNAL:
        return
    _heard.last = now
    _heard.first = now if _heard.first is None else _heard.first
    listening = _listening()
    for listener in listening:
        if listener.was_told:
            listener.stop(True)
    if not all(listener.was_told for listener in listening):
        for listener in listening:
            listener.was_told = True
        call_in(_wakeup.loop, _wakeup.loop.call_later, SAME_SIGNAL, _begin)


def _begin() -> None:
    """Tell everything that listens by now. Telling something twice that it should stop is fine."""
    for listener in _listening():
        listener.was_told = True
        listener.stop(False)


def _listening() -> list[_Listener]:
    late = [listener for listener in _listeners if not listener.early]
    return late or list(_listeners)
