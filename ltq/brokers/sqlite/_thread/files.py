"""The files that are open in this process: one thread for each, however many brokers use it."""

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ltq._aio.clock import Clock
from ltq.brokers.sqlite._file.opening import BUSY_PATIENCE
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.errors import BrokerError

_PATIENCE_AT_FORK = BUSY_PATIENCE + 1.0
"""Seconds that a fork waits for a file to be closed: longer than a call waits for a lock."""

_PATIENCE_AT_EXIT = 3.0
"""Seconds that files get to close when the process ends."""

_lock = threading.RLock()  # a signal handler within it may fork
_users: dict[tuple[Path, Clock], tuple[SqliteThread, int]] = {}
_threads: set[SqliteThread] = set()
"""All that may have their file open: also those that nobody uses, until they have closed it."""
_forking = threading.RLock()
"""Held from before a fork until after it: one at a time."""
_resting: set[SqliteThread] = set()
"""Those that wait for the end of the fork, or are about to."""
_rested: set[SqliteThread] = set()
"""Those whose turn was over: they rest, unless they were at work for too long."""
_inherited: list[SqliteThread] = []
"""Those of the process that has forked this one."""


def acquire(path: Path, clock: Clock) -> SqliteThread:
    """The thread of a file. `release` it. Raises `BrokerError` if there can be none."""
    key = Path(os.path.realpath(path)), clock
    with _lock:
        try:
            thread, users = _users.get(key) or (SqliteThread(path, clock, _forget), 0)
        except RuntimeError as error:  # too many threads, or an exit
            raise BrokerError(f"{path} needs a thread of its own: {error}") from error
        _threads.add(thread)
        _users[key] = thread, users + 1
        return thread


def release(thread: SqliteThread) -> bool:
    """Undo `acquire`. Returns whether nobody uses the file any more, so that it is to be closed."""
    with _lock:
        for key, (own, users) in _users.items():
            if own is thread:
                if users > 1:
                    _users[key] = own, users - 1
                    return False
                del _users[key]
                return True
    return False  # of another process


def _forget(thread: SqliteThread) -> None:
    """A thread has closed its file for good."""
    with _lock:
        _threads.discard(thread)


def _before_fork() -> None:
    _to_the_end(_rest)


def _after_in_parent() -> None:
    try:
        _to_the_end(_go_on)
    finally:
        try:
            _let_go(_lock)
        finally:
            _let_go(_forking)


def _after_in_child() -> None:
    global _lock, _forking
    _lock, _forking = threading.RLock(), threading.RLock()
    _inherited.extend(_threads)
    _resting.clear()
    _rested.clear()
    _users.clear()
    _threads.clear()
    for thread in _inherited:
        thread.abandon()


def _to_the_end(step: Callable[[], None]) -> None:
    """Take a step again if it was cut off, as by a signal handler that raises, and raise that then.

    Python forks all the same: the child would be locked out of a file that is left open, and
    whoever waits for a lock that is left held would wait for ever.
    """
    deadline = time.monotonic() + _PATIENCE_AT_FORK
    raised: BaseException | None = None
    while True:
        try:
            step()
        except BaseException as error:
            raised = error
            if time.monotonic() < deadline:
                continue
        break
    if raised is not None:
        raise raised


def _rest() -> None:
    _forking.acquire()
    _lock.acquire()
    while new := [thread for thread in _threads if thread not in _rested]:
        _let_go(_lock)  # a call at work may need it
        for thread in new:
            _resting.add(thread)
            thread.rest(_PATIENCE_AT_FORK)
            _rested.add(thread)
        _lock.acquire()


def _go_on() -> None:
    _rested.clear()
    while _resting:
        thread = next(iter(_resting))
        thread.go_on()
        _resting.discard(thread)


def _let_go(lock: threading.RLock) -> None:
    """Release a lock as often as this thread has acquired it: none, if that was cut off."""
    with suppress(RuntimeError):
        while True:
            lock.release()


def _at_exit() -> None:
    threads = tuple(_threads)
    for thread in threads:
        thread.stop(lambda: None)
    for thread in threads:
        thread.join(_PATIENCE_AT_EXIT)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
