"""URLs of RabbitMQ with a store behind it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ltq.broker import parse_parameters, redact
from ltq.broker.schemes import broker_factory
from ltq.brokers.rabbitmq._server.api import NO_API, Api, read_api, usual_api
from ltq.brokers.rabbitmq._server.names import LONGEST_PREFIX
from ltq.errors import ConfigurationError

_SHAPE = "it should be like amqp://user:password@host:5672/vhost?state=redis://localhost:6379"
_FILES = ("cafile", "certfile", "keyfile")
_PARAMETERS = ("state", "prefix", "heartbeat", "management", *_FILES)
_PREFIX = re.compile(f"[A-Za-z0-9_.:-]{{1,{LONGEST_PREFIX}}}", re.ASCII)
_HEARTBEAT, _LONGEST_HEARTBEAT = 10, 600
"""Seconds after which two silent sides look for one another, by default and at most."""


@dataclass(frozen=True, kw_only=True)
class UrlSettings:
    """Where RabbitMQ is, what everything there is called, and the URL of the store."""

    host: str
    port: int
    user: str
    password: str
    vhost: str
    state: str
    """The URL of the store."""
    prefix: str = "ltq"
    heartbeat: int = _HEARTBEAT
    is_tls: bool = False
    files: tuple[tuple[str, str], ...] = ()
    """The files of TLS that the URL names, by parameter."""
    management: Api | None = None
    """Where its management API is, or may be; None if nobody should look for it."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"RabbitMQ at {self.address}, vhost {self.vhost!r}"

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """Its URL without user, password and store."""
        vhost = "" if self.vhost == "/" else self.vhost
        return f"amqp{'s' if self.is_tls else ''}://{self.address}/{vhost}"


def parse_url(url: str) -> UrlSettings:
    """Read a URL. Raises `ConfigurationError`, which never shows a password."""
    shown = redact(url.partition("?")[0])
    _check_host(shown, url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"broker URL {shown!r} cannot be read: {_SHAPE}") from error
    if not parts.hostname or parts.fragment or "/" in parts.path.lstrip("/"):
        raise ConfigurationError(f"broker URL {shown!r} cannot be read: {_SHAPE}")
    given = parse_parameters(shown, parts.query)
    for name in given:
        if name not in _PARAMETERS:
            raise ConfigurationError(
                f"broker URL {shown!r}: unknown parameter {name!r}, allowed are "
                f"{', '.join(_PARAMETERS)}; a store's own stand in state, with & as %26"
            )
    _check(shown, given)
    is_tls = parts.scheme == "amqps"
    port = port or (5671 if is_tls else 5672)
    settings = UrlSettings(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or "guest"),
        password=_password(parts),
        vhost=unquote(parts.path[1:]) or "/",
        state=given["state"],
        prefix=given.get("prefix", "ltq"),
        heartbeat=int(given.get("heartbeat", _HEARTBEAT)),
        is_tls=is_tls,
        files=tuple((name, given[name]) for name in _FILES if name in given),
    )
    return replace(settings, management=_api(shown, given.get("management"), settings))


def _api(shown: str, given: str | None, settings: UrlSettings) -> Api | None:
    """The management API, as the URL says; else where it usually is."""
    user, password = settings.user, settings.password
    if given is None:
        return usual_api(settings.host, settings.port, user, password, settings.is_tls)
    return None if given == NO_API else read_api(shown, given, user, password)


def state_in_folder(url: str, folder: str) -> str:
    """The URL with a store whose path is relative to this folder, if its URL has a path.

    What cannot be read stays as it is: whoever opens it tells.
    """
    before, mark, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    return before + mark + urlencode([(name, _moved(name, it, folder)) for name, it in given])


def _moved(name: str, value: str, folder: str) -> str:
    if name != "state" or ":///" not in value or value.lower().startswith("amqp"):
        return value
    try:
        factory = broker_factory(value)
    except ConfigurationError:
        return value
    hook: Callable[[str, str], str] | None = getattr(factory, "in_folder", None)
    return value if hook is None else hook(value, folder)


def _password(parts: SplitResult) -> str:
    return "guest" if parts.password is None else unquote(parts.password)


def _check_host(shown: str, url: str) -> None:
    place = url.partition("://")[2].partition("?")[0].partition("/")[0]
    if "," in place.rpartition("@")[2]:
        raise ConfigurationError(
            f"broker URL {shown!r} names several hosts: give one name that stands for all nodes of "
            "a cluster, in DNS or of a load balancer"
        )


def _check(shown: str, given: dict[str, str]) -> None:
    state = given.get("state", "")
    if not state:
        raise ConfigurationError(
            f"broker URL {shown!r} has no state=: RabbitMQ keeps no states of tasks, so name the "
            "store behind it, as ?state=redis://localhost:6379 or ?state=sqlite:////folder/jobs.db"
        )
    check_state(shown, state)
    prefix = given.get("prefix", "ltq")
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"broker URL {shown!r}: prefix={prefix!r} is not allowed: "
            f"1 to {LONGEST_PREFIX} of A-Z a-z 0-9 _ . : -"
        )
    heartbeat = given.get("heartbeat", "")
    if "heartbeat" in given and not (
        re.fullmatch(r"\d{1,3}", heartbeat, re.ASCII) and 0 < int(heartbeat) <= _LONGEST_HEARTBEAT
    ):
        raise ConfigurationError(
            f"broker URL {shown!r}: heartbeat={heartbeat!r} is not allowed: "
            f"seconds from 1 to {_LONGEST_HEARTBEAT}"
        )


def check_state(shown: str, state: str) -> None:
    """Raise `ConfigurationError` for a store that is RabbitMQ again."""
    if state.partition("://")[0].lower() in ("amqp", "amqps"):
        raise ConfigurationError(
            f"broker URL {shown!r}: state={redact(state)!r} is not allowed: RabbitMQ keeps no "
            "states of tasks. Name a store, as redis://, sqlite:// or postgresql://"
        )
