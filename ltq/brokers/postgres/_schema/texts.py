"""The statements in `sql/`, with the name of the schema and with constants.

`tables.sql` is what version 1 keeps. Each other file is one function or type, and begins with a
header: what it does, its parameters, and what it returns.
"""

import re
from functools import cache, lru_cache
from pathlib import Path

from ltq.broker import flows, history
from ltq.brokers._rules import constants
from ltq.brokers._rules.sweep import MOST_SWEPT
from ltq.brokers.postgres._schema.names import Schema
from ltq.errors import ConfigurationError
from ltq.names import MAX_TAGS
from ltq.options import DEFAULT_MAX_DELIVERIES, SERVED_TTL

FOLDER = Path(__file__).parent.parent / "sql"

CONSTANTS = {
    "BUCKETS_A_DOUBLING": history.BUCKETS_A_DOUBLING,
    "ENDED_KEPT": 6 * constants.ENDED_TTL,
    "FIRST_BUCKET": history.FIRST_BUCKET,
    "FLOOR_PAUSE": 0.5,
    "FLOOR_STEP": 1000,
    "FLOW_KEY": flows.FLOW_KEY,
    "OUTLINE_KEY": flows.OUTLINE_KEY,
    "HELD": flows.HELD,
    "HISTORY_TTL": constants.HISTORY_TTL,
    "LANES_AT_ONCE": constants.LANES_AT_ONCE,
    "LANES_READ": 8 * constants.LANES_AT_ONCE,
    "LAST_BUCKET": history.LAST_BUCKET,
    "MAX_DELIVERIES": DEFAULT_MAX_DELIVERIES,
    "MAX_DURATION": history.MAX_DURATION,
    "MAX_TAGS": MAX_TAGS,
    "MOST_SWEPT": MOST_SWEPT,
    "RECHECK": constants.RECHECK,
    "SERVED_TTL": SERVED_TTL,
    "THROUGHPUT_STEP": constants.THROUGHPUT_STEP,
    "THROUGHPUT_STEPS": constants.THROUGHPUT_STEPS,
}
"""The constants that statements may name as `@NAME@`."""

TABLES = "tables"
TYPES = ("_line",)
"""What functions name in their signatures, so that it has to be there first."""

_NAMED = re.compile(r"@(\w+)@")
_SIGNATURE = re.compile(r"CREATE FUNCTION @schema@\.(\w+)\(([^)]*)\)")


def functions() -> list[str]:
    """The files of functions, without their endings."""
    return sorted({path.stem for path in FOLDER.glob("*.sql")} - {TABLES, *TYPES})


@cache
def text_of(name: str) -> str:
    """The text of a file."""
    return (FOLDER / f"{name}.sql").read_text("utf-8")


def statement(name: str, schema: Schema) -> str:
    """The text of a file for a schema."""
    own = {"schema": schema.quoted, "channel": schema.channel, "lock": schema.lock}
    values = {**CONSTANTS, **own}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ConfigurationError(f"{name}.sql names an unknown constant: {match[0]}")
        return str(values[match[1]])

    return _NAMED.sub(value, text_of(name))


@cache
def parameters(name: str) -> tuple[str, ...]:
    """The types of a function's parameters."""
    match = _SIGNATURE.search(text_of(name))
    if match is None:
        raise ConfigurationError(f"{name}.sql makes no function")
    words = [one.split() for one in match[2].split(",")]
    return tuple(one[1] for one in words if one)


@lru_cache(maxsize=200)
def call(name: str, schema: Schema) -> str:
    """The statement that calls a function."""
    given = ", ".join(f"%s::{one}" for one in parameters(name))
    return f"SELECT * FROM {schema.quoted}.{name}({given})"
