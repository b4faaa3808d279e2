"""Which broker a URL stands for, and how the URL is shown."""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from ltq._display.values import short_repr
from ltq.broker._named.factories import factory_of, known_schemes
from ltq.broker._named.resolve import broker_names
from ltq.errors import ConfigurationError

_LEFT_OUT = {"history": "nothing is counted", "list_final": "no list of final tasks"}
"""What a broker does with a parameter that is `0`."""


def broker_factory(url: str) -> Callable[[str], object]:
    """Return what makes the broker of a URL. Raises `ConfigurationError` for an unknown scheme."""
    if not isinstance(url, str):
        raise ConfigurationError(
            f"broker URL {short_repr(url)} is not allowed: a text such as redis://localhost:6379"
        )
    factory = factory_of(url)
    if factory is not None:
        return factory
    raise ConfigurationError(
        f"broker URL {redact(url)!r} has no known scheme: {_name_meant(url)}"
        f"allowed are {', '.join(f'{known}://' for known in known_schemes())}"
    )


def _name_meant(url: str) -> str:
    """What to say to who left out the @ of a broker's name; empty if nobody did."""
    try:
        return f"did you mean @{url}? " if url in broker_names() else ""
    except ConfigurationError:  # the file has a mistake, which is not what this is about
        return ""


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

    Everything before the last @ counts as user and password, even if the URL is malformed. What
    follows an @ in a parameter may be part of a password: nothing is shown then.
    """
    scheme, separator, rest = url.partition("://")
    if re.search(r"\?(.*&)?\w*password=.*@", url):
        return f"{scheme}://" if separator else ""
    if "@" in url:
        scheme, rest = scheme if separator else "", url.rpartition("@")[2]
    elif not separator:
        scheme, rest = "", url
    shown = rest.partition("?")[0].partition("#")[0]
    return f"{scheme}://{shown}" if scheme else shown
