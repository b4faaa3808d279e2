"""LTQ's tables in a file: whose they are, and how they are made and upgraded in a transaction."""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

from ltq.brokers.sqlite._file.errors import FileError
from ltq.brokers.sqlite._file.schema import APPLICATION_ID, VERSION, statements_from


class Connection(Protocol):
    """What the tables need of a connection to a file: it may be one of the user's."""

    def execute(self, statement: str, values: Any = ..., /) -> sqlite3.Cursor:
        """Run one statement."""
        ...


def known_version(connection: Connection, path: Path, *, is_shared: bool) -> int:
    """The version of the tables, 0 if they are not there.

    Raises `FileError` for a newer version, and for a file that has other tables unless that
    `is_shared`.
    """
    version = version_of(connection, path)
    check_version(version, path)
    if version == 0 and not is_shared and not _is_empty(connection):
        raise FileError(
            f"{path} is a database of another application: name another file in the broker URL, or "
            "add ?shared=1 to it if LTQ's tables may be in that database too"
        )
    return version


def upgrade(connection: Connection, path: Path, *, is_shared: bool) -> None:
    """Make the tables, or bring them to the present version. This is part of a transaction.

    Raises what `known_version` raises.
    """
    version = known_version(connection, path, is_shared=is_shared)
    if version == VERSION:
        return
    is_own = version == 0 and _is_empty(connection)
    for statement in statements_from(version):
        connection.execute(statement)
    connection.execute(f"UPDATE ltq_schema SET version = {VERSION}")
    if is_own:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def check_version(version: int, path: Path) -> None:
    """Raise `FileError` for tables of a newer LTQ."""
    if version > VERSION:
        raise FileError(
            f"{path} was made by a newer LTQ (its tables have version {version}, this LTQ knows "
            f"{VERSION}): upgrade LTQ, or name another file in the broker URL"
        )


def version_of(connection: Connection, path: Path) -> int:
    """The version of the tables, 0 if they are not there. Raises `FileError` if they have none."""
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'ltq_schema'"
    (there,) = connection.execute(query).fetchone()
    if not there:
        return 0
    (version,) = connection.execute("SELECT version FROM ltq_schema").fetchone() or (None,)
    if not isinstance(version, int) or version < 1:
        raise FileError(
            f"{path} is damaged: its table ltq_schema says no version. Move the file away, or "
            "restore it from a backup"
        )
    return version


def _is_empty(connection: Connection) -> bool:
    """Whether nothing is in the file, not even a mark of another application."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return (application, version, tables) == (0, 0, 0)
