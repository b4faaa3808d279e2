"""Broker URLs: those of redis-py, without the parameters that LTQ sets itself."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ltq.broker import redact
from ltq.brokers.redis._server.connections import use_own_connections
from ltq.errors import ConfigurationError

_DEFAULTS = {"notifications": "auto", "busy_poll": "250"}
"""Parameters that are not redis-py's but LTQ's."""

_OWN = {"decode_responses", "protocol", "retry", "socket_timeout", "encoding", "encoding_errors"}
"""Parameters of redis-py that LTQ sets itself."""


def split_url(url: str, *, check: bool) -> tuple[str, dict[str, str]]:
    """Split a URL into the one for redis-py and the parameters that are LTQ's own."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        own = {name: query.pop(name, default) for name, default in _DEFAULTS.items()}
        taken = _OWN & query.keys()
        if taken:
            raise ValueError(f"the parameter {min(taken)} is LTQ's own")
        if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
            raise ValueError("what follows the port is the number of a database")
        server_url = urlunsplit(parts._replace(query=urlencode(query)))
        if check:
            new_client(server_url).connection_pool.make_connection()
    except (ValueError, TypeError):  # the text of the error may hold part of a password
        raise ConfigurationError(
            f"broker URL {redact(url)!r} cannot be read: it should be like "
            "redis://user:password@host:6379/0 (special characters in a password as %XX), and "
            f"its parameters those of redis-py, without {', '.join(sorted(_OWN))}"
        ) from None
    return server_url, own


def new_client(url: str) -> Redis:
    # `Link` has its own deadlines, and repeats calls itself.
    options: dict[str, Any] = {"protocol": 2, "socket_timeout": None}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": 3.0, "socket_keepalive": True}
    client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
    use_own_connections(client.connection_pool)
    return client
