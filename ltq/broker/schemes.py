"""Which broker a URL stands for, and how the URL is shown."""

import importlib
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_BUILT_IN = {
    "memory": "ltq.brokers.memory:MemoryBroker",
    "redis": "ltq.brokers.redis:RedisBroker",
    "rediss": "ltq.brokers.redis:RedisBroker",
    "sqlite": "ltq.brokers.sqlite:SqliteBroker",
    "unix": "ltq.brokers.redis:RedisBroker",
}

_GROUP = "ltq.brokers"
"""The entry points of others' brokers."""

_LEFT_OUT = {"history": "nothing is counted", "list_final": "no list of final tasks"}
"""What a broker does with a parameter that is `0`."""


def broker_factory(url: str) -> Callable[[str], object]:
    """Return what makes the broker of a URL. Raises `ConfigurationError` for an unknown scheme."""
    if not isinstance(url, str):
        raise ConfigurationError(
            f"broker URL {short_repr(url)} is not allowed: a text such as redis://localhost:6379"
        )
    factory = _factory_of(_scheme_of(url))
    if factory is not None:
        return factory
    from importlib.metadata import entry_points

    others = entry_points(group=_GROUP)
    schemes = sorted({*_BUILT_IN, *others.names})
    raise ConfigurationError(
        f"broker URL {redact(url)!r} has no known scheme: "
        f"allowed are {', '.join(f'{known}://' for known in schemes)}"
    )


def in_folder(url: str, folder: str) -> str:
    """What a URL means that is written in a file of this folder.

    Where the path in it is one of the file system, what makes the broker has a function
    `in_folder(url, folder)`, which returns the URL with a relative path made absolute.
    """
    if ":///" not in url:  # it names a host: nothing need be imported to know that it has no path
        return url
    hook = getattr(_factory_of(_scheme_of(url)), "in_folder", None)
    return url if hook is None else cast(Callable[[str, str], str], hook)(url, folder)


def _scheme_of(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else ""


def _factory_of(scheme: str) -> Callable[[str], object] | None:
    """What makes the brokers of a scheme; None if that is unknown."""
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return cast(Callable[[str], object], getattr(importlib.import_module(module), name))
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    for entry in entry_points(group=_GROUP).select(name=scheme):
        return cast(Callable[[str], object], entry.load())
    return None


def parse_switch(name: str, value: str) -> bool:
    """What a parameter of a broker URL says that is `1`, or `0` to leave something out.

    Raises `ConfigurationError`.
    """
    if value not in ("0", "1"):
        left_out = f" ({_LEFT_OUT[name]})" if name in _LEFT_OUT else ""
        raise ConfigurationError(
            f"{name}={value!r} is not allowed in a broker URL: 0{left_out} or 1"
        )
    return value == "1"


def parse_parameters(shown: str, query: str) -> dict[str, str]:
    """The parameters of a broker URL by their names; `query` is what follows its question mark.

    Raises `ConfigurationError` for one that is given twice: with the URL as it may be `shown`.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise ConfigurationError(
                f"broker URL {shown!r} cannot be read: the parameter {name!r} is given twice"
            )
        given[name] = value
    return given


def redact(url: str) -> str:
    """The URL without user, password and parameters, fit for a log.

    Everything before the last @ counts as user and password, even if the URL is malformed.
    """
    scheme, separator, rest = url.partition("://")
    if "@" in url:
        scheme, rest = scheme if separator else "", url.rpartition("@")[2]
    elif not separator:
        scheme, rest = "", url
    shown = rest.partition("?")[0].partition("#")[0]
    return f"{scheme}://{shown}" if scheme else shown
