"""SIGTERM and SIGINT, passed on to whatever runs in the main thread's event loop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Stop = Callable[[bool], None]
"""Called to stop something: first with False; from the second time on with True, for "now"."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_listeners: dict[object, Stop] = {}
_stopping: set[object] = set()
_previous: dict[signal.Signals, Any] = {}


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """In the block, the first signal calls `stop(False)`, and each further one `stop(True)`.

    If several blocks are entered, a signal calls the `stop` of each; after the last one, the former
    handlers are restored. Does nothing outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, key = asyncio.get_running_loop(), object()
    if not _listeners:
        _install(loop)
    _listeners[key] = stop
    try:
        yield
    finally:
        del _listeners[key]
        _stopping.discard(key)
        if not _listeners:
            _restore(loop)


def _install(loop: asyncio.AbstractEventLoop) -> None:
    for number in _SIGNALS:
        _previous[number] = signal.getsignal(number)
        loop.add_signal_handler(number, _stop_all)


def _restore(loop: asyncio.AbstractEventLoop) -> None:
    for number in _SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, _previous.pop(number))


def _stop_all() -> None:
    for key, stop in list(_listeners.items()):
        stop(key in _stopping)
        _stopping.add(key)
