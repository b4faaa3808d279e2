"""Closing a file so that nothing is lost that others have written meanwhile."""

import logging
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import identity_of

logger = logging.getLogger("ltq.broker")

State = tuple[int, int, int, int]
"""What a file was like: it differs after each write to the file itself, beside its log."""


class Leaving:
    """What is known of an open file, for the time when it is closed.

    The last to close a file moves its log into it, and removes what is at the log's path. If the
    log was removed while it was open, others have made a new one since, or have written to the
    file, and then the old pages would be put over theirs, and their log be gone. Who removes a log
    removes what is in it, while others were told that theirs is kept. So the old log is left to
    itself; unless nobody has written since, when all that it has is saved.

    Nor may the file just be left open: SQLite would take the index of the old log for that of the
    new one, as all connections of a process share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = Path(f"{os.path.realpath(path)}-wal")
        self._seen: State | None = None

    def note(self, database: Database) -> None:
        """Note what the file is like, as far as its log is in use: before and after each commit."""
        state = _state_of(self._path)  # first: what comes later may be of others
        if not database.has_lost_its_log():
            self._seen = state

    def close(self, database: Database) -> None:
        """Close the file."""
        if database.has_lost_its_log() and not database.is_replaced():
            logger.error("%s was deleted or replaced while it was open", self._log)
            if identity_of(self._log) is None and _state_of(self._path) == self._seen:
                with suppress(sqlite3.Error):
                    database.run("PRAGMA wal_checkpoint(FULL)").fetchall()
            else:
                text = "%s was written by others since: what only its old log had is lost"
                logger.error(text, self._path)
            _keep_log_out(database.connection)
        database.close()


def _state_of(path: Path) -> State | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _keep_log_out(connection: sqlite3.Connection) -> None:
    """Let the closing that follows leave the log alone."""
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    else:
        connection.interrupt()  # which ends the moving before its first page
