"""Broker URLs of PostgreSQL: `postgresql://user:password@host:5432/database?schema=ltq`."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlencode

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ltq.broker import parse_parameters, parse_switch, redact
from ltq.brokers.postgres._schema.names import Schema
from ltq.errors import ConfigurationError

_OWN = {"schema": "ltq", "migrate": "manual", "history": "1", "list_final": "1"}
"""The parameters that are LTQ's, and what they are by default. Others are libpq's."""

_SHAPE = (
    "it should be like postgresql://user:password@host:5432/database, where in a user or password "
    "@ is written %40, / is %2F, ? is %3F and % is %25"
)

_SCHEMA = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
"""Names with pg_ are PostgreSQL's own."""


@dataclass(frozen=True, slots=True)
class UrlSettings:
    """What a URL says."""

    conninfo: str
    """For libpq, with the password."""
    url: str
    """Without user, password and parameters of libpq."""
    schema: Schema
    migrates: bool
    """Whether the schema is made and upgraded at first use."""
    keeps_history: bool
    lists_final: bool

    @property
    def server(self) -> str:
        """How errors name it."""
        return f"PostgreSQL at {self.url.partition('://')[2].partition('?')[0]}"


def parse_url(url: str) -> UrlSettings:
    """Read a URL. Raises `ConfigurationError` for one that cannot be read."""
    if "@" in _behind_host(url) or url.count("@") > 1:  # perhaps it is part of a password
        raise _unreadable(url, _SHAPE)
    location, _, query = url.partition("?")
    given = parse_parameters(redact(url), query)
    own = {**_OWN, **{name: value for name, value in given.items() if name in _OWN}}
    others = [one for one in query.split("&") if unquote_plus(one.partition("=")[0]) not in _OWN]
    behind = (
        f"?{'&'.join(others)}" if any(others) else ""
    )  # as they are: libpq knows no + for a space
    reason = _reason_against(_without_user(location) + behind)
    if reason:
        raise _unreadable(url, f"{reason}; LTQ's own parameters are {', '.join(_OWN)}")
    conninfo = location + behind
    if _reason_against(conninfo):  # which may tell of the password
        raise _unreadable(url, _SHAPE)
    schema = own["schema"]
    if not _SCHEMA.fullmatch(schema):
        allowed = "1 to 63 of the characters A-Z a-z 0-9 _, no digit or pg_ first"
        raise _unreadable(url, f"schema={schema!r} is not allowed: {allowed}")
    if own["migrate"] not in ("auto", "manual"):
        raise _unreadable(url, f"migrate={own['migrate']!r} is not allowed: auto or manual")
    return UrlSettings(
        conninfo,
        _shown(location, schema),
        Schema(schema),
        migrates=own["migrate"] == "auto",
        keeps_history=parse_switch("history", own["history"]),
        lists_final=parse_switch("list_final", own["list_final"]),
    )


def _behind_host(url: str) -> str:
    """The path and the parameters."""
    rest = url.partition("://")[2]
    return rest[len(re.split("[/?]", rest, maxsplit=1)[0]) :]


def _without_user(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _reason_against(conninfo: str) -> str:
    """What libpq says against a URL; empty if it can read it."""
    try:
        conninfo_to_dict(conninfo)
    except ProgrammingError as error:
        return str(error).strip()
    return ""


def _shown(location: str, schema: str) -> str:
    shown = redact(location)
    return shown if schema == _OWN["schema"] else f"{shown}?{urlencode({'schema': schema})}"


def _unreadable(url: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"broker URL {redact(url)!r} cannot be read: {reason}")
