"""Broker URLs: those of redis-py, with the parameters that have an effect, and LTQ's own."""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ltq.broker import parse_parameters, redact
from ltq.brokers.redis._server.location import Kind, Location, parse_location
from ltq.errors import ConfigurationError

_DEFAULTS = {
    "notifications": "auto",
    "busy_poll": "250",
    "history": "1",
    "list_final": "1",
    "prefix": "ltq",
    "replicas": "0",
}
"""Parameters that are not redis-py's but LTQ's."""

_SENTINEL_PARAMETERS = ("sentinel_username", "sentinel_password")

_DEFAULTS_OF: Mapping[Kind, Mapping[str, str]] = {
    "server": _DEFAULTS,
    "sentinel": {**_DEFAULTS, "map": "", **dict.fromkeys(_SENTINEL_PARAMETERS, "")},
    "cluster": {**_DEFAULTS, "map": ""},
}
"""All of LTQ's own, by where the server is."""

_TAKEN = frozenset(("db", "username", "password", "client_name"))
_TAKEN_BY_TCP = frozenset(("socket_connect_timeout", "socket_keepalive"))
_TAKEN_BY_TLS = frozenset(
    f"ssl_{name}"
    for name in (
        "keyfile",
        "certfile",
        "password",
        "cert_reqs",
        "ca_certs",
        "ca_data",
        "ca_path",
        "check_hostname",
        "min_version",
        "ciphers",
        "include_verify_flags",
        "exclude_verify_flags",
    )
)
_TAKEN_WITH = {"redis": _TAKEN_BY_TCP, "rediss": _TAKEN_BY_TCP | _TAKEN_BY_TLS}
"""Parameters of redis-py that have an effect. The others would do nothing, as LTQ has connections,
deadlines and repeats of its own: it also replaces those that were idle for too long."""

_SHAPE = (
    "it should be like redis://user:password@host:6379/0, with special characters in a password as "
    "%XX"
)

CONNECT_PATIENCE = 3.0
"""Seconds that an attempt to connect may take, and the most that a URL may allow."""


def _is_patience(value: str) -> bool:
    try:
        return 0 < float(value) <= CONNECT_PATIENCE
    except ValueError:
        return False


def _are_flags(value: str) -> bool:
    return {flag.strip() for flag in value.split(",")} <= set(ssl.VerifyFlags.__members__)


_IS_SWITCH = re.compile("true|false|yes|no|1|0", re.IGNORECASE).fullmatch
_SWITCH = (_IS_SWITCH, "true or false")
_FLAGS = (_are_flags, "names of ssl.VerifyFlags, with commas between them")

_VALUES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "db": (re.compile(r"\d+", re.ASCII).fullmatch, "the number of a database"),
    "client_name": (re.compile("[!-~]+").fullmatch, "ASCII without spaces"),
    "socket_connect_timeout": (
        _is_patience,
        f"seconds, more than 0 and at most {CONNECT_PATIENCE:g}",
    ),
    "socket_keepalive": _SWITCH,
    "ssl_check_hostname": _SWITCH,
    "ssl_cert_reqs": (re.compile("none|optional|required").fullmatch, "none, optional or required"),
    "ssl_min_version": (re.compile("77[0-2]|769").fullmatch, "771 (TLS 1.2) or 772 (TLS 1.3)"),
    "ssl_include_verify_flags": _FLAGS,
    "ssl_exclude_verify_flags": _FLAGS,
}
"""What a value has to be. redis-py would raise something else, or none, or take it for another."""


@dataclass(frozen=True, slots=True)
class SplitUrl:
    """A broker's URL."""

    location: Location
    """Where the server is; its URL has only the parameters that redis-py reads."""
    own: Mapping[str, str]
    """The parameters that are LTQ's own."""
    has_password: bool
    """Whether it names a user or password for the server."""

    @property
    def sentinel_url(self) -> str:
        """A URL of a sentinel, as redis-py reads it."""
        parts = urlsplit(self.location.url)
        dropped = {"db", "username", "password"}
        query = {k: v for k, v in parse_qsl(parts.query) if k not in dropped}
        user, password = (quote(self.own.get(name, ""), safe="") for name in _SENTINEL_PARAMETERS)
        login = f"{user}:{password}@" if user or password else ""
        netloc = login + parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=netloc, path="", query=urlencode(query)))


def split_url(url: str, *, check: bool) -> SplitUrl:
    """Split a URL into the one for redis-py and the parameters that are LTQ's own.

    Raises `ConfigurationError` for a URL that cannot be read, and for a parameter that would have
    no effect.
    """
    try:
        location = parse_location(url)
        parts = urlsplit(location.url)
        if parts.fragment or "@" in parts.query:  # perhaps both are of a password
            raise _unreadable(url, _SHAPE)
        query = parse_parameters(redact(url), parts.query)
        defaults = _DEFAULTS_OF[location.kind]
        own = {name: query.pop(name, default) for name, default in defaults.items()}
        reason = _reason_against(location.kind, parts, query)
        if reason:
            raise _unreadable(url, reason)
        location = replace(location, url=urlunsplit(parts._replace(query=urlencode(query))))
        if check:
            new_client(location.url).connection_pool.make_connection()
    except ConfigurationError:  # it is a ValueError, too
        raise
    except (ValueError, TypeError):  # the text of the error may hold part of a password
        raise _unreadable(url, _SHAPE) from None
    has_password = "@" in parts.netloc or not query.keys().isdisjoint(("username", "password"))
    return SplitUrl(location, own, has_password)


def _unreadable(url: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"broker URL {redact(url)!r} cannot be read: {reason}")


def _reason_against(kind: Kind, parts: SplitResult, query: Mapping[str, str]) -> str:
    """Why a URL with these parameters is refused; empty if it is not."""
    taken = _TAKEN | _TAKEN_WITH.get(parts.scheme, frozenset())
    for name, value in query.items():
        if name not in taken:
            allowed = ", ".join(sorted({*_DEFAULTS_OF[kind], *taken}))
            return f"LTQ has no use for the parameter {name!r}: allowed are {allowed}"
        if not value:
            return f"the parameter {name!r} has no value"
        is_allowed, what = _VALUES.get(name, (bool, ""))
        if not is_allowed(value):
            return f"{name}={value!r} is not allowed: {what}"
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
        return "what follows the port is the number of a database"
    if kind == "cluster" and query.get("db", "0").strip("0"):
        return "a cluster has only database 0"
    if parts.scheme != "unix" and "db" in query and parts.path.strip("/"):
        return "it names two databases, one after the port and one as the parameter db"
    return ""


@cache
def _of_library() -> dict[str, Any]:
    """What redis-py tells a server of itself; it would look that up for each connection (1 ms)."""
    try:
        from redis.driver_info import DriverInfo
    except ImportError:  # an older redis-py, which looks it up once
        return {}
    return {"driver_info": DriverInfo(lib_version=redis.__version__)}


def new_client(url: str) -> Redis:
    # `Link` has its own deadlines, and repeats calls itself.
    options: dict[str, Any] = {"protocol": 2, "socket_timeout": None, **_of_library()}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": CONNECT_PATIENCE, "socket_keepalive": True}
    client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
    return client
