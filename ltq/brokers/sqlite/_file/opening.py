"""Opening a file: what stands in the way is found before anything is written."""

import os
import sqlite3
import stat
import time
from pathlib import Path

from ltq.brokers.sqlite._file import tables
from ltq.brokers.sqlite._file.errors import FileError, error_of, is_busy
from ltq.brokers.sqlite._file.room import log_bytes
from ltq.brokers.sqlite._file.schema import VERSION
from ltq.errors import BrokerError

BUSY_PATIENCE = 4.0
"""Seconds that a call waits for a file that others have locked."""

_BUSY_TIMEOUT = 10
"""Milliseconds that SQLite itself waits for a lock: its pauses grow, and who pauses for long never
gets its turn beside a process that has much to do."""

_PAUSE = 0.01
"""Seconds between attempts to open a file that others make or upgrade."""

_CACHE_KIB = 32 * 1024
"""Most memory for pages of the file, in one process."""

_LOG_BYTES = 32 * 1024 * 1024
"""How large the log gets until it is moved into the file: the same page may be in it often."""

_WAL_BYTES = 64 * 1024 * 1024
"""To how much the log is cut once it was larger."""

Identity = tuple[int, int]
"""Device and number of a file: another file at the same path has others."""


def identity_of(path: Path) -> Identity | None:
    """Which file is at a path; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_file(path: Path, *, is_shared: bool = False) -> sqlite3.Connection:
    """Open a file, and make it if there is none. The caller lets one thread at a time use it.

    With `is_shared` LTQ's tables may be made in a file that has others. Raises `BrokerError` if
    that cannot be done now, `FileError` if it never can. A file that is of another application, or
    a newer LTQ's, is left as it is.
    """
    _check_place(path)
    deadline = time.monotonic() + BUSY_PATIENCE
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise error_of(error, path) from error
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")
        while not _is_ready(connection, path, deadline, is_shared=is_shared):
            time.sleep(_PAUSE)
    except sqlite3.Error as error:
        connection.close()
        raise error_of(error, path) from error
    except BrokerError:
        connection.close()
        raise
    return connection


def _check_place(path: Path) -> None:
    mode = _mode_of(path, path)
    is_link = os.path.islink(path)
    target = Path(os.path.realpath(path)) if is_link else path
    folder = target.parent  # of a link, too: the log is beside the file
    found = _mode_of(folder, path)
    if found is None or not stat.S_ISDIR(found):
        link = f"it is a link to {target}, so " if is_link else ""
        raise FileError(f"{path} cannot be opened: {link}make the folder {folder} first")
    if mode is not None and not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise FileError(f"{path} is {what}: name a file in the broker URL")
    _mode_of(Path(f"{path}-journal"), path)  # the names of the files beside it are longer
    for place in (folder, path):
        if (place is folder or mode is not None) and not os.access(place, os.W_OK):
            raise FileError(
                f"{place} cannot be written: the user of this process needs the right to write "
                "the file and its folder"
            )


def _mode_of(place: Path, path: Path) -> int | None:
    """What is at a place; None if nothing is. Raises `FileError` if that cannot be known."""
    try:
        return os.stat(place).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise FileError(
            f"{path} cannot be opened: the user of this process needs the right to enter each "
            "folder above it"
        ) from error
    except (OSError, ValueError) as error:  # a name that is too long, a circle of links
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be opened: {reason}") from error


def _is_ready(
    connection: sqlite3.Connection, path: Path, deadline: float, *, is_shared: bool
) -> bool:
    """Check, make and upgrade what is there. False: others are at it, so try again."""
    try:
        version = tables.known_version(connection, path, is_shared=is_shared)
        _set_modes(connection, path, is_new=version == 0)
        if version < VERSION:
            _upgrade(connection, path, is_shared=is_shared)
    except sqlite3.Error as error:
        if is_busy(error) and time.monotonic() < deadline:
            return False
        raise
    return True


def _set_modes(connection: sqlite3.Connection, path: Path, *, is_new: bool) -> None:
    if is_new:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise FileError(
            f"{path} cannot have a write-ahead log (its mode is {mode!r}): use a file on a disk "
            "of this machine"
        )
    # A file that had another mode gets its log by a look; `Database` notes which one it is.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("PRAGMA fullfsync = 1")  # without it, macOS keeps writes in the disk's cache
    # Some builds overwrite each page that gets free: then removing takes as much room as sending.
    connection.execute("PRAGMA secure_delete = FAST")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    pages = max(1, log_bytes(path, _LOG_BYTES) // page)
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")


def _upgrade(connection: sqlite3.Connection, path: Path, *, is_shared: bool) -> None:
    """Bring the tables to the present version, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables.upgrade(connection, path, is_shared=is_shared)  # others may have been quicker
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def abandon(connection: object) -> None:
    """Let a connection stay open until the process ends.

    Closing it would remove the log at its path, which may belong to another file by now, or be in
    use by the process that has forked this one.
    """
    import ctypes  # rarely needed

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
