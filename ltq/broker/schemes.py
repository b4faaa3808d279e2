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

_LEFT_OUT = {"history": "nothing is counted", "list_final": "no list of final tasks"}
"""What a broker does with a parameter that is `0`."""


def broker_factory(url: str) -> Callable[[str], object]:
    """Return what makes the broker of a URL. Raises `ConfigurationError` for an unknown scheme."""
    if not isinstance(url, str):
        raise ConfigurationError(
            f"broker URL {short_repr(url)} is not allowed: a text such as redis://localhost:6379"
        )
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return cast(Callable[[str], object], getattr(importlib.import_module(module), name))
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    others = entry_points(group="ltq.brokers")
    for entry in others.select(name=scheme):
        return cast(Callable[[str], object], entry.load())
    schemes = sorted({*_BUILT_IN, *others.names})
    raise ConfigurationError(
        f"broker URL {redact(url)!r} has no known scheme: "
        f"allowed are {', '.join(f'{known}://' for known in schemes)}"
    )


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


def parse_parameters(url: str, query: str) -> dict[str, str]:
    """The parameters of a broker URL by their names; `query` is what follows its question mark.

    Raises `ConfigurationError`, without a value, for one that is given twice.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise ConfigurationError(
                f"broker URL {redact(url)!r} cannot be read: the parameter {name!r} is given twice"
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
