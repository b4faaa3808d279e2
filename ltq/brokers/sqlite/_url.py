"""Broker URLs of files: `sqlite:///relative.db` and `sqlite:////absolute.db`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from ltq.broker import parse_parameters, parse_switch, redact
from ltq.errors import ConfigurationError

_SHAPE = "sqlite:///jobs.db in the current folder, or sqlite:////folder/jobs.db"
_PARAMETERS = ("history", "list_final", "shared", "sync")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says."""

    path: Path
    """The file, absolute."""
    is_durable: bool
    """Whether what was acknowledged survives a power cut (`sync=full`)."""
    keeps_history: bool
    lists_final: bool
    is_shared: bool
    """Whether LTQ's tables may be made in a file that has others."""

    @property
    def url(self) -> str:
        """The URL of the file, without parameters."""
        return f"sqlite:///{quote(str(self.path))}"


def parse_url(url: str) -> Target:
    """Read a URL. A relative path starts in the present working folder.

    Raises `ConfigurationError` for a URL that cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    location, _, query = rest.partition("?")
    if scheme.lower() != "sqlite" or not separator or not location.startswith("/"):
        host = location.partition("/")[0]
        why = f"it names a host, {host!r}, where a file has none: " if host else ""
        raise _unreadable(url, f"{why}it should be like {_SHAPE}")
    name = unquote(location[1:])
    if not name or name.endswith("/") or "\0" in name or "#" in location:
        raise _unreadable(url, f"it names no file: it should be like {_SHAPE}")
    if name == ":memory:":
        raise _unreadable(url, "for tasks in the memory of this process use memory://")
    values = _parameters(url, query)
    return Target(
        Path.cwd() / name,
        is_durable=_is_durable(url, values["sync"]),
        keeps_history=parse_switch("history", values["history"]),
        lists_final=parse_switch("list_final", values["list_final"]),
        is_shared=parse_switch("shared", values["shared"]),
    )


def _parameters(url: str, query: str) -> dict[str, str]:
    given = parse_parameters(url, query)
    for name in given:
        if name not in _PARAMETERS:
            allowed = ", ".join(_PARAMETERS)
            raise _unreadable(url, f"unknown parameter {name!r}: allowed are {allowed}")
    return {"sync": "full", "history": "1", "list_final": "1", "shared": "0", **given}


def _is_durable(url: str, sync: str) -> bool:
    if sync not in ("full", "normal"):
        raise _unreadable(url, f"sync={sync!r} is not allowed: full or normal")
    return sync == "full"


def _unreadable(url: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"broker URL {redact(url)!r} cannot be read: {reason}")
