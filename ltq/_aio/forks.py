"""Processes that are forked from this one: their signals are not those of the worker.

A fork inherits the signal handlers, and the socket that wakes the event loop. A child that gets
SIGTERM would not end, and its parent would take the signal for its own.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

generation: int = 0
"""How many forks lie between this process and the one that imported this module: another number
than before means that this is another process."""

_reasons: set[object] = set()
_masks: dict[int, set[signal.Signals]] = {}
"""The signals that a thread blocked before it forks, by its id."""


@contextmanager
def default_signals_in_forks() -> Iterator[None]:
    """In the block, forked processes start with Python's own handlers of SIGTERM and SIGINT.

    From any thread; blocks may overlap.
    """
    reason = object()
    _reasons.add(reason)
    try:
        yield
    finally:
        _reasons.discard(reason)


def restore_default_handlers() -> None:
    """Handle SIGTERM and SIGINT as Python does, except for one that is ignored.

    Nothing is woken by signals any more. Does nothing outside the main thread.
    """
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
        for number in STOP_SIGNALS:
            if callable(signal.getsignal(number)):
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)


def end_fork() -> NoReturn:
    """End this process, which a task has forked, when it comes back from the task's function.

    It has no threads, and shares the connections of its parent: it must not go on as one. Its exit
    code is that of a program which raises the error that is handled now. Exit handlers are those of
    the parent, and are not called. `generation` tells when to call this.
    """
    error = sys.exception()
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error)
    elif isinstance(error, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    with suppress(Exception):
        sys.stderr.write(f"{error.code}\n")
    return 1


def _before() -> None:
    """Let signals wait, in this thread, until the child has its handlers."""
    if _reasons:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        _masks[threading.get_ident()] = {signal.Signals(number) for number in mask}


def _after_in_parent() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_child() -> None:
    global generation
    generation += 1
    if _reasons:
        _reasons.clear()
        restore_default_handlers()
    mask = _masks.pop(threading.get_ident(), None)
    _masks.clear()
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
