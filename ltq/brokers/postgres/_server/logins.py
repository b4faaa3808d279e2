"""Why a server refuses a login, in whatever language it says so.

libpq gives no SQL state of an error that comes before a connection is open, only the server's text,
in the server's language. So what the server says is read again, as messages of its protocol.
"""

import asyncio
import os
import re
import select
import time

import psycopg
from psycopg import pq

_FROM_SERVER = re.compile(r"failed: [^\n]*:  ")
"""How libpq tells a server's error: the severity, a colon, two spaces, and the text."""

_STATE = re.compile(rb'ErrorResponse\t.*? C "(\w{5})" ')
"""The SQL state of an error, in a trace of libpq's."""

_TRACES_LOGINS = 180_000
"""Version 18 of libpq; those before trace only what comes after a login."""


class Logins:
    """Finds out why logins at one server fail."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._last: tuple[str, str | None] = ("", None)
        """What was said last, and the SQL state: so that no server is asked again and again."""

    async def state_of(self, error: psycopg.OperationalError, deadline: float) -> str | None:
        """The SQL state of a login that has just failed, by another attempt until a deadline.

        None if no server has answered, or if this libpq cannot tell: it needs Linux and libpq 18,
        which `psycopg[binary]` contains.
        """
        said = str(error)
        if error.sqlstate or not _FROM_SERVER.search(said):
            return error.sqlstate
        if not hasattr(os, "memfd_create") or pq.version() < _TRACES_LOGINS:
            return None
        if said != self._last[0]:
            self._last = said, await asyncio.to_thread(_state_of, self._conninfo, deadline)
        return self._last[1]


def _state_of(conninfo: str, deadline: float) -> str | None:
    # In memory only: there may be a password in it.
    with os.fdopen(os.memfd_create("ltq-login"), "r+b", buffering=0) as traced:
        connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            connection.trace(traced.fileno())
            connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            _log_in(connection, deadline)
            connection.untrace()
        finally:
            connection.finish()
        traced.seek(0)
        states = _STATE.findall(traced.read())
    return str(states[-1], "ascii") if states else None


def _log_in(connection: pq.abc.PGconn, deadline: float) -> None:
    """Go on until the server has accepted or refused the login, or the deadline is over."""
    while connection.status != pq.ConnStatus.BAD:
        polled = connection.connect_poll()
        if polled not in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            return
        sockets = [connection.socket]
        is_reading = polled == pq.PollingStatus.READING
        left = deadline - time.monotonic()
        ready = select.select(
            sockets if is_reading else [], [] if is_reading else sockets, [], max(left, 0)
        )
        if not any(ready):
            return
