"""The temporary folder of a demo, which is gone afterwards, whatever ends the demo.

Only SIGKILL leaves it. So each demo holds a lock in its folder as long as it lives, and the next
demo removes the folders whose lock nobody holds.
"""

import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NamedTuple

from ltq._aio.forks import STOP_SIGNALS
from ltq._aio.signals import OwnHandler
from ltq.cli._errors import StoppedError

with suppress(ImportError):  # on Windows nothing is locked, and nothing is removed later
    import fcntl

_HAS_LOCKS = "fcntl" in globals()

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
_PREFIX = "ltq-demo-"
_LOCK, _UNLOCKED = "demo.lock", "demo.unlocked"
DATABASE = "jobs.db"
_FILES = {_LOCK, *(f"{DATABASE}{end}" for end in ("", "-wal", "-shm", "-journal"))}
"""All files that a demo makes."""


class DemoFolder(NamedTuple):
    """A temporary folder, and what checks whether a signal came meanwhile."""

    place: str
    check: Callable[[], None]
    """Raises `StoppedError` if one came while nothing listened to signals."""


@contextmanager
def demo_folder() -> Iterator[DemoFolder]:
    """A folder that is gone after the block. What demos that were killed have left is removed.

    In the block, no signal but SIGKILL ends the process: it is noted while nothing listens, and
    SIGHUP and SIGQUIT count as SIGTERM.
    """
    with _remembered_signals() as remembered:
        _remove_leftovers()
        with (
            tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as place,
            _locked(place),
        ):
            yield DemoFolder(place, remembered.check)


@contextmanager
def _locked(place: str) -> Iterator[None]:
    """Hold the lock of a folder. It has its name only once it is locked."""
    if not _HAS_LOCKS:
        yield
        return
    unlocked = os.path.join(place, _UNLOCKED)
    with open(unlocked, "xb") as file:
        with suppress(OSError):  # some file systems have no locks: then a killed demo leaves it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(unlocked, os.path.join(place, _LOCK))
        yield


def _remove_leftovers() -> None:
    if not _HAS_LOCKS:
        return
    parent = tempfile.gettempdir()
    with suppress(OSError):
        for name in os.listdir(parent):
            if name.startswith(_PREFIX):
                with suppress(OSError):  # it is another user's, or another demo removes it as well
                    _remove(os.path.join(parent, name))


def _remove(place: str) -> None:
    """Remove a folder, if it is certainly one of a demo of this user that lives no more."""
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    with open(os.path.join(place, _LOCK), "rb+", opener=_open_no_link) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sockets = f"{DATABASE}-wake-{os.geteuid()}"
        if set(os.listdir(place)) - _FILES - {sockets}:
            return
        shutil.rmtree(os.path.join(place, sockets), ignore_errors=True)
        for name in _FILES - {_LOCK}:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(place, name))
        os.unlink(os.path.join(place, _LOCK))
        os.rmdir(place)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


class _Remember(OwnHandler):
    """Notes a signal that comes while nothing listens to signals: nothing is cut short."""

    def __init__(self) -> None:
        self.was_told = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number in STOP_SIGNALS:
            self.was_told = True
        else:
            signal.raise_signal(signal.SIGTERM)  # whoever listens, listens to that

    def check(self) -> None:
        """Raise `StoppedError` if there was one. Call it once something listens."""
        if self.was_told:
            raise StoppedError("stopped")


@contextmanager
def _remembered_signals() -> Iterator[_Remember]:
    """In the block, these signals are noted, unless somebody handles or ignores them."""
    remember = _Remember()
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {
        number: handler
        for number in (getattr(signal, name, None) for name in _SIGNALS)
        if number and is_main
        if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler)
    }
    for number in handlers:
        signal.signal(number, remember)
    try:
        yield remember
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
