"""What errors of PostgreSQL mean, and how they are told: one line with the server and what to do.

No text of libpq's is passed on that may hold a password.
"""

import psycopg

from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.errors import BrokerError

_REPEATED = ("40001", "40P01", "55P03", "57014", "0A000", "26000")
"""SQL states after which the same call may succeed: serialization failure, deadlock, a lock that
others held, a statement that took too long, a plan or a prepared statement that is stale."""

_TAKEN = "23505"
"""SQL state of a key that is there already: another call was quicker."""

_ENDING = ("57P01", "57P02", "57P03", "25006", "08")
"""SQL states of a server that ends, starts, or lets nobody write: another may take its place."""

_UNKNOWN = ("3F000", "42P01", "42883", "42704")
"""SQL states of a schema, a table or a function that is not there."""

_DENIED = "42501"
_LOGIN = ("28P01", "28000", "3D000")
"""SQL states of a wrong password, a user or a database that is unknown."""


class RefusedError(BrokerError):
    """This one call cannot be carried out; others may succeed."""

    is_refusal = True
    is_away = False


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same call may succeed soon."""
    state = error.sqlstate or ""
    if not state:
        return is_lost(error)
    return state in _REPEATED or state == _TAKEN or state.startswith(_ENDING)


def is_lost(error: psycopg.Error) -> bool:
    """Whether a connection is of no use after an error."""
    state = error.sqlstate or ""
    is_local = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_ENDING) or (not state and is_local)


def error_of(error: psycopg.Error, server: str) -> BrokerError:
    """What a call raises for an error of psycopg."""
    state, text = error.sqlstate or "", _text(error)
    if state in _UNKNOWN:
        return SchemaError(f"{server} has not all that LTQ needs: {text}. Run `ltq migrate`")
    if state == _DENIED:
        return SchemaError(
            f"{server} denies what LTQ needs: {text}. Grant it to the user of the broker URL"
        )
    if state in _LOGIN or _is_login(text):
        return SchemaError(f"{server} cannot be used: {text}")
    if is_lost(error) or is_passing(error):
        return BrokerError(f"{server} cannot be used: {text}")
    return RefusedError(f"{server} refused the call: {text}")


def _is_login(text: str) -> bool:
    """Whether a failed connection says so: such errors have no SQL state."""
    return "authentication failed" in text or (
        "FATAL" in text and ("does not exist" in text or "pg_hba.conf" in text)
    )


def _text(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    text = primary or str(error) or type(error).__name__
    return " ".join(text.split())
