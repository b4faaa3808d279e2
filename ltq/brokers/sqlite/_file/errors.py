"""What errors of SQLite mean, and how they are told: one line with the file and what to do."""

import sqlite3
from pathlib import Path

from ltq.errors import BrokerError


class FileError(BrokerError):
    """The file cannot be used as it is. Repeating the call would not help."""

    is_away = False


class RefusedError(FileError):
    """This one call cannot be carried out; others may succeed."""

    is_refusal = True


class FullError(BrokerError):
    """The disk is full, or nearly so: the call has changed nothing.

    New tasks are refused first, so that tasks can end, be cancelled and cleared. Where others fill
    the disk to its last byte, every call that writes fails until there is room again.
    """


_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_REFUSED = (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE)


def code_of(error: sqlite3.Error) -> int:
    """The primary result code of an error; -1 for one of the module's own."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def is_lasting(error: Exception) -> bool:
    """Whether an error also concerns the calls that wait."""
    return isinstance(error, BrokerError) and not isinstance(error, RefusedError | FullError)


def is_harmless(error: Exception) -> bool:
    """Whether a connection is as good as before an error."""
    if not isinstance(error, sqlite3.Error):
        return True
    return code_of(error) in (*_BUSY, *_REFUSED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds a lock."""
    return code_of(error) in _BUSY


def error_of(error: Exception, path: Path) -> BrokerError:
    """What a call raises for an error of SQLite."""
    if not isinstance(error, sqlite3.Error):  # an integer or a text that SQLite cannot hold
        return RefusedError(f"{path} cannot hold this: {error}")
    code = code_of(error)
    if code in _BUSY:
        return BrokerError(f"{path} is locked by another connection: {error}")
    if code == sqlite3.SQLITE_FULL:
        return FullError(
            f"{path} cannot grow, as its disk is full ({error}): free some room there. "
            "Even removing tasks takes some, for the log beside the file"
        )
    if code in _BROKEN:
        return FileError(
            f"{path} is damaged or no database of LTQ ({error}): "
            "move it away, or restore it from a backup"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return FileError(
            f"{path} cannot be written ({error}): the user of this process needs "
            "the right to write the file and its folder"
        )
    if code in _REFUSED:
        return RefusedError(f"{path} cannot hold this: {error}")
    return BrokerError(f"{path} cannot be used: {error}")
