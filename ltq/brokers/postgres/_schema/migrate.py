"""Making and upgrading what LTQ keeps in a schema. All of it is one transaction."""

from collections.abc import Mapping
from typing import Any, Protocol

from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.brokers.postgres._schema.names import Schema
from ltq.brokers.postgres._schema.texts import TABLES, TYPES, functions, statement

VERSION = 1

OLDEST_SERVER = 130_000
"""PostgreSQL 13, as `server_version_num` has it."""

_UPGRADES: Mapping[int, str] = {}
"""For each older version, the file with what makes the next one of it."""


class Statements(Protocol):
    """Runs statements one after the other, in a transaction."""

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        ...


def version_of(statements: Statements, schema: Schema) -> int:
    """The version of a schema, 0 if LTQ has made nothing in it."""
    table = f"{schema.quoted}.version"
    ((found,),) = statements.rows("SELECT to_regclass(%s)::text", table)
    if found is None:
        return 0
    ((version,),) = statements.rows(f"SELECT number FROM {table}")
    return int(version)


def check(version: int, schema: Schema, server: str) -> None:
    """Raise `SchemaError` for a version that this LTQ cannot use."""
    if version == VERSION:
        return
    if version == 0:
        raise SchemaError(
            f"{server} has no tables of LTQ in the schema {schema.name!r}: run `ltq migrate`, or "
            "add ?migrate=auto to the broker URL"
        )
    if version < VERSION:
        raise SchemaError(
            f"the schema {schema.name!r} at {server} is of an older LTQ (its tables have version "
            f"{version}, this LTQ needs {VERSION}): run `ltq migrate`"
        )
    raise SchemaError(
        f"the schema {schema.name!r} at {server} is of a newer LTQ (its tables have version "
        f"{version}, this LTQ knows {VERSION}): upgrade LTQ"
    )


def steps(version: int, schema: Schema) -> list[str]:
    """The statements that bring a schema from a version to the present one; 0 is an empty one."""
    files = [_UPGRADES[number] for number in range(version, VERSION)] if version else [TABLES]
    made = [statement(name, schema) for name in files]
    if version == 0:
        made.insert(0, f"CREATE SCHEMA IF NOT EXISTS {schema.quoted};")
        made += [statement(name, schema) for name in TYPES]
    changed = [_replacing(statement(name, schema)) for name in functions()]
    last = f"UPDATE {schema.quoted}.version SET number = {VERSION};"
    return ["SET LOCAL check_function_bodies = off;", *made, *changed, last]


def script(schema: Schema) -> str:
    """What `psql` runs to make all of it, as it is."""
    lock = f"SELECT pg_advisory_xact_lock({schema.lock + 3}, 0);"
    return "\n".join(["BEGIN;", lock, *steps(0, schema), "COMMIT;", ""])


def migrate(statements: Statements, schema: Schema, server: str) -> bool:
    """Bring a schema to the present version, in the transaction that is open.

    Returns whether it was another one before. Others that do the same wait, as long as the
    connection waits for locks. Raises `SchemaError` for a newer one.
    """
    statements.rows("SET LOCAL statement_timeout = 0")
    statements.rows("SELECT pg_advisory_xact_lock(%s, 0)", schema.lock + 3)
    version = version_of(statements, schema)
    if version == VERSION:
        return False
    if version > VERSION:
        check(version, schema, server)
    for one in steps(version, schema):
        statements.rows(one)
    return True


_HOLDERS = """
SELECT pid, usename, application_name, coalesce(state, ''),
    extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change))::float8
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = 0
AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def holders(statements: Statements, schema: Schema) -> str:
    """Who holds the lock of migrations, as a text."""
    found = statements.rows(_HOLDERS, schema.lock + 3)
    told = [
        f"pid {pid} of {user} ({', '.join(word for word in (application, state) if word)}) "
        f"for {seconds or 0.0:.0f} s"
        for pid, user, application, state, seconds in found
    ]
    return ", ".join(told) or "nobody any more, so try again"


def _replacing(text: str) -> str:
    return text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
