"""The files that are open in this process: one thread for each, however many brokers use it."""

import atexit
import os
import threading
from pathlib import Path

from ltq._aio.clock import Clock
from ltq.brokers.sqlite._file.opening import BUSY_PATIENCE
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.errors import BrokerError

_PATIENCE_AT_FORK = BUSY_PATIENCE + 1.0
"""Seconds that a fork waits for a file to be closed: longer than a call waits for a lock."""

_PATIENCE_AT_EXIT = 3.0
"""Seconds that files get to close when the process ends."""

_lock = threading.RLock()  # a garbage collection within it may drop a broker
_users: dict[tuple[Path, Clock], tuple[SqliteThread, int]] = {}
_threads: set[SqliteThread] = set()
"""All that may have their file open: also those that nobody uses, until they have closed it."""
_forking = threading.Lock()
"""Held from before a fork until after it: one at a time."""
_resting: list[SqliteThread] = []
"""Those that wait for the end of the fork."""
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
    _forking.acquire()
    _lock.acquire()
    while new := [thread for thread in _threads if thread not in _resting]:
        _lock.release()  # a call at work may need it: a garbage collection within may drop a broker
        for thread in new:
            thread.rest(_PATIENCE_AT_FORK)
            _resting.append(thread)
        _lock.acquire()


def _after_in_parent() -> None:
    for thread in _resting:
        thread.go_on()
    _resting.clear()
    _lock.release()
    _forking.release()


def _after_in_child() -> None:
    global _lock, _forking
    _lock, _forking = threading.RLock(), threading.Lock()
    for thread in _resting:
        thread.abandon()
        _inherited.append(thread)
    _resting.clear()
    _users.clear()
    _threads.clear()


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
