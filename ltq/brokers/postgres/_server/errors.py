"""What errors of PostgreSQL mean, and how they are told: one line with the server and what to do.

No text of libpq's is passed on that may hold a password.
"""

import re

import psycopg

from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.errors import BrokerError

STALE = ("26000", "42P05")
"""SQL states of a prepared statement that another connection of a pooler's made, or did not."""

LOCKED = "55P03"
"""SQL state of a lock that others held for too long."""

_REPEATED = ("40", LOCKED, "55006", "57014", "0A000", *STALE)
"""SQL states after which the same call may succeed: serialization failure, deadlock, a lock that
others held, a statement that took too long, a plan or a prepared statement that is stale."""

_HARMLESS = ("22", "23", "40", "42501", LOCKED, "57014")
"""SQL states after which the connection is as it was."""

_TAKEN = "23505"
"""SQL state of a key that is there already: another call was quicker."""

_ENDING = ("57P", "25006", "25P03", "25P04", "08")
"""SQL states of a server that ends or starts, a connection that it has closed, and of one where
nobody may write: another may take its place."""

_FATAL = ("FATAL", "PANIC")
"""Severities of errors with which a server closes a connection."""

_REFUSED = ("21", "22", "23", "2F", "38", "39", "54", "P0")
"""Classes of errors that come from the values of a call."""

_DENIED = "42501"
_UNKNOWN = ("3F000", "42")
"""SQL states of a schema, a table, a column or a function that is not there."""

_LOGIN = ("28", "3D000")
"""SQL states of a wrong password, a user or a database that is unknown."""


_NO_LOGIN = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|FATAL.*does not exist"
    r"|does not support SSL|certificate"
)
"""What a failed login says that would fail again, where its SQL state is not known: what libpq says
itself, and a server in English, if libpq cannot tell more (see `logins`)."""


class SilentError(psycopg.OperationalError):
    """There was no answer in time."""


class RefusedError(BrokerError):
    """This one call cannot be carried out; others may succeed."""

    is_refusal = True
    is_away = False


class LockedError(BrokerError):
    """A session holds what this one call needs; others may succeed."""

    is_refusal = True
    is_busy = True


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same call may succeed soon."""
    state = error.sqlstate or ""
    return is_lost(error) or state == _TAKEN or state.startswith(_REPEATED)


def is_lost(error: psycopg.Error) -> bool:
    """Whether a connection is lost, or of no use, so that a call may have been carried out."""
    state = error.sqlstate or ""
    is_local = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    is_fatal = error.diag.severity_nonlocalized in _FATAL
    return is_fatal or state.startswith(_ENDING) or (not state and is_local)


def is_refused_login(state: str | None) -> bool:
    """Whether a login with this SQL state would fail again, until somebody changes something."""
    return (state or "").startswith((*_LOGIN, _DENIED))


def is_harmless(error: psycopg.Error) -> bool:
    """Whether the connection can be used as before."""
    return not is_lost(error) and (error.sqlstate or "").startswith(_HARMLESS)


def error_of(error: psycopg.Error, server: str, connection: str = "the broker URL") -> BrokerError:
    """What a call raises for an error of psycopg."""
    state, text = error.sqlstate or "", _text(error)
    if state == _DENIED:
        return SchemaError(
            f"{server} denies what LTQ needs: {text}. Grant it to the user of {connection}"
        )
    if state.startswith(_LOGIN) or (not state and _NO_LOGIN.search(text)):
        return SchemaError(f"{server} cannot be used: {text}")
    if is_passing(error):
        return BrokerError(f"{server} cannot be used: {text}")
    if state.startswith(_UNKNOWN):
        return SchemaError(f"{server} lacks something that LTQ needs: {text}. Run `ltq migrate`")
    if state.startswith(_REFUSED):
        return RefusedError(f"{server} refused the call: {text}")
    return BrokerError(f"{server} cannot be used: {text}")


def _text(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    text = primary or str(error) or type(error).__name__
    # libpq says the same again of its second attempt, without encryption.
    lines = dict.fromkeys(text.removeprefix("connection failed: ").splitlines())
    return " ".join(" ".join(lines).split())
