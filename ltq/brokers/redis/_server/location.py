"""Where a broker's URL says that the server is: at a host, behind sentinels, or in a cluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from ltq.broker import redact
from ltq.brokers.redis._connect.addresses import Address, parse_address
from ltq.errors import ConfigurationError

Kind = Literal["server", "sentinel", "cluster"]

_SHAPES = {
    "sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/name-of-the-master/0",
    "cluster": "redis+cluster://user:password@host1:6379,host2:6379",
}
_SCHEMES: Mapping[str, Kind] = {
    **dict.fromkeys(("redis", "rediss", "unix"), "server"),
    **dict.fromkeys(("redis+sentinel", "rediss+sentinel"), "sentinel"),
    **dict.fromkeys(("redis+cluster", "rediss+cluster"), "cluster"),
}
_PORTS = {"sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Location:
    """Where the server is."""

    kind: Kind
    url: str
    """As redis-py reads it. The host is the first one of `nodes`, if there are any."""
    nodes: tuple[Address, ...] = ()
    """The sentinels, or the nodes of a cluster that are asked first."""
    master: str = ""
    """The name by which sentinels know the server."""

    @property
    def cluster_url(self) -> str:
        """The URL to be used if the server is a node of a cluster, without user and password.

        Empty if none can be told: its host is not known.
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2] if parts.scheme in ("redis", "rediss") else ""
        return f"{parts.scheme}+cluster://{host}" if host else ""


def parse_location(url: str) -> Location:
    """Read the scheme, the hosts and the path of a broker's URL. Raises `ConfigurationError`."""
    scheme, _, rest = url.partition("://")
    kind = _SCHEMES.get(scheme.lower())
    if kind is None:
        allowed = ", ".join(f"{one}://" for one in _SCHEMES)
        raise ConfigurationError(f"broker URL {redact(url)!r} should begin with one of {allowed}")
    if kind == "server":
        return Location("server", url)
    return _parse(url, scheme.lower().partition("+")[0], kind, rest)


def _parse(url: str, scheme: str, kind: Literal["sentinel", "cluster"], rest: str) -> Location:
    before, mark, query = rest.partition("?")
    user, at, behind = before.rpartition("@")
    hosts, _, path = behind.partition("/")
    if "@" in user:  # a user and password for each host, perhaps: there is one for all
        raise _unreadable(url, kind)
    try:
        nodes = tuple(parse_address(host, _PORTS[kind]) for host in hosts.split(","))
    except ValueError:
        raise _unreadable(url, kind) from None
    master, database = "", path
    if kind == "sentinel":
        master, _, database = path.partition("/")
    if not re.fullmatch("[0-9]*", database) or (kind == "sentinel" and not master):
        raise _unreadable(url, kind)
    if kind == "cluster" and database.strip("0"):
        raise ConfigurationError(
            f"broker URL {redact(url)!r} names database {database}: a cluster has only database 0"
        )
    server_url = f"{scheme}://{user}{at}{nodes[0]}/{database}{mark}{query}"
    return Location(kind, server_url, nodes, unquote(master))


def _unreadable(url: str, kind: Kind) -> ConfigurationError:
    return ConfigurationError(
        f"broker URL {redact(url)!r} cannot be read: it should be like {_SHAPES[kind]}, with "
        "one user and password for all hosts, special characters in them as %XX, and an IPv6 "
        "address in brackets"
    )
