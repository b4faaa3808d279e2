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


_FOUND = """
SELECT to_regclass(%s)::text, to_regclass(%s) IN (
    SELECT attrelid FROM pg_attribute
    WHERE attname = 'number' AND atttypid = 'integer'::regtype AND NOT attisdropped
) AND to_regclass(%s) IS NOT NULL"""
"""Whether there is a table of versions, and whether it is LTQ's."""


def version_of(statements: Statements, schema: Schema) -> int:
    """The version of a schema, 0 if LTQ has made nothing in it."""
    table = f"{schema.quoted}.version"
    ((found, is_own),) = statements.rows(_FOUND, table, table, f"{schema.quoted}.tokens")
    if found is None:
        return 0
    rows = statements.rows(f"SELECT number FROM {table}") if is_own else []
    if len(rows) != 1:
        raise foreign(schema, 'relation "version" already exists')
    return int(rows[0][0])


def foreign(schema: Schema, found: str) -> SchemaError:
    """What is raised for a schema in which others keep something of the same name."""
    return SchemaError(
        f"the schema {schema.name!r} is used by something other than LTQ ({found}): name one of "
        "its own by ?schema= in the broker URL"
    )


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
            f"the schema {schema.name!r} at {server} was made by an older LTQ (its tables have "
            f"version {version}, this LTQ needs {VERSION}): run `ltq migrate`"
        )
    raise SchemaError(
        f"the schema {schema.name!r} at {server} was made by a newer LTQ (its tables have version "
        f"{version}, this LTQ knows {VERSION}): upgrade LTQ"
    )


_SCHEMA = """
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{name}') THEN
    CREATE SCHEMA {quoted};
END IF; END $$;"""
"""One that is there may be that of a role which could not make it."""


def steps(version: int, schema: Schema) -> list[str]:
    """The statements that bring a schema from a version to the present one; 0 is an empty one."""
    files = [_UPGRADES[number] for number in range(version, VERSION)] if version else [TABLES]
    made = [statement(name, schema) for name in files]
    if version == 0:
        made.insert(0, _SCHEMA.format(name=schema.name, quoted=schema.quoted))
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
