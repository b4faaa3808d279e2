"""Where RabbitMQ's management API is, which tells what AMQP does not."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ltq.errors import ConfigurationError

NO_API = "no"
"""What says in a URL that nobody should look for it."""

_ABOVE = 10_000
"""By how much its port is above that of AMQP, unless somebody has changed one of them: 15672 and
5672; with TLS 15671 and 5671."""

_HIGHEST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class Api:
    """Where it is, and who looks."""

    host: str
    port: int
    user: str
    password: str
    is_tls: bool
    path: str = ""
    """What precedes `/api`."""
    is_named: bool = True
    """Whether the URL of the broker says that it is there."""

    @property
    def shown(self) -> str:
        """Its URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}{self.path}"


def usual_api(host: str, port: int, user: str, password: str, is_tls: bool) -> Api | None:
    """Where it usually is beside AMQP at this port; None if there is no such port.

    The password goes there in the clear only if it does so in AMQP.
    """
    if port + _ABOVE > _HIGHEST_PORT:
        return None
    return Api(
        host=host,
        port=port + _ABOVE,
        user=user,
        password=password,
        is_tls=is_tls,
        is_named=False,
    )


def read_api(shown: str, url: str, user: str, password: str) -> Api:
    """That of the parameter `management` of the broker's URL that is `shown`.

    A user of its own may stand in it. Raises `ConfigurationError`, without the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong(shown) from None
    is_tls = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise _wrong(shown)
    return Api(
        host=parts.hostname,
        port=port or (443 if is_tls else 80),
        user=user if parts.username is None else unquote(parts.username),
        password=password if parts.password is None else unquote(parts.password),
        is_tls=is_tls,
        path=parts.path.rstrip("/"),
    )


def _wrong(shown: str) -> ConfigurationError:
    return ConfigurationError(
        f"broker URL {shown!r}: management= should be like http://host:15672, or {NO_API}"
    )
