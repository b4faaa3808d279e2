"""Broker URLs of files: `sqlite:///relative.db` and `sqlite:////absolute.db`."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from ltq.broker import parse_parameters, parse_switch, redact
from ltq.errors import ConfigurationError

_SHAPE = "sqlite:///jobs.db in the current folder, or sqlite:////folder/jobs.db"
_PARAMETERS = ("history", "list_final", "shared", "sync")


@dataclass(frozen=True, slots=True)
class UrlSettings:
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
        return f"sqlite:///{_quoted(str(self.path))}"


def parse_url(url: str) -> UrlSettings:
    """Read a URL. A relative path starts in the present working folder.

    Raises `ConfigurationError` for a URL that cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    location, _, query = rest.partition("?")
    if scheme.lower() != "sqlite" or not separator or not location.startswith("/"):
        host = location.partition("/")[0]
        why = f"it names a host, {host!r}, where a file has none: " if host else ""
        raise _unreadable(url, f"{why}it should be like {_SHAPE}")
    if "#" in location:
        raise _unreadable(url, "a # in the name of a file is written %23")
    name = _unquoted(url, location[1:])
    if not name or name.endswith("/") or "\0" in name:
        raise _unreadable(url, f"it names no file: it should be like {_SHAPE}")
    if name == ":memory:":
        raise _unreadable(url, "for tasks in the memory of this process use memory://")
    values = _parameters(url, query)
    return UrlSettings(
        _working_folder(url) / name if not name.startswith("/") else Path(name),
        is_durable=_is_durable(url, values["sync"]),
        keeps_history=parse_switch("history", values["history"]),
        lists_final=parse_switch("list_final", values["list_final"]),
        is_shared=parse_switch("shared", values["shared"]),
    )


def in_folder(url: str, folder: str) -> str:
    """The URL, with a relative path that starts in this folder. What cannot be read stays."""
    scheme, separator, rest = url.partition(":///")
    location = rest.partition("?")[0]
    if not separator or not location or location == ":memory:":
        return url
    if _unquoted(url, location).startswith("/"):
        return url
    return f"{scheme}:///{_quoted(folder)}/{rest}"


def _working_folder(url: str) -> Path:
    try:
        return Path.cwd()
    except OSError as error:  # somebody has removed it
        reason = f"its path is relative, and there is no working folder: {error.strerror}"
        raise _unreadable(url, reason) from error


# Names of files are bytes, which need not be UTF-8.


def _quoted(path: str) -> str:
    return quote(os.fsencode(path))


def _unquoted(url: str, location: str) -> str:
    try:
        return os.fsdecode(unquote_to_bytes(os.fsencode(location)))
    except UnicodeError as error:
        raise _unreadable(url, f"{_SHAPE}: no file has such a name") from error


def _parameters(url: str, query: str) -> dict[str, str]:
    given = parse_parameters(_shown(url), query)
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
    return ConfigurationError(f"broker URL {_shown(url)!r} cannot be read: {reason}")


def _shown(url: str) -> str:
    """The URL without parameters. A file has no password, and an @ may be part of its path."""
    whole = url.partition("?")[0]
    return whole if whole.lower().startswith("sqlite:///") else redact(url)
