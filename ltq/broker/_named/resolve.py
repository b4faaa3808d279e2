"""What `@name` stands for, in place of a URL. This is the only place that says so."""

import os
import re
from typing import NamedTuple

from ltq.broker._named.factories import in_folder
from ltq.broker._named.settings import (
    NAME_RULE,
    Settings,
    did_you_mean,
    is_broker_name,
    present_settings,
    variable_of,
)
from ltq.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_PRIMARY = "primary"


class Resolved(NamedTuple):
    """The URL that a name stands for, or the one that was given."""

    url: str
    place: str = ""
    """Where a name has its URL from, for people; empty if a URL was given."""


def resolve(url: str) -> Resolved:
    """Follow a name to its URL. What is no name is returned as it is.

    `LTQ_BROKER_URL_<NAME>` of the environment comes first, then `configure_brokers`, else the file.
    Either may give another name. Raises `ConfigurationError`, which never shows a URL.
    """
    place, passed = "", list[str]()
    while is_reference(url):
        check_reference(url, place)
        if url in passed:
            circle = " -> ".join([*passed[passed.index(url) :], url])
            raise ConfigurationError(f"{place}: {circle} is a circle: one of them needs a URL")
        passed.append(url)
        url, place = _look_up(url[1:], place)
    if passed and "://" not in url:
        raise ConfigurationError(
            f"{place}: that is not a broker URL: it should be like redis://localhost:6379"
        )
    return Resolved(url, place)


def is_reference(url: object) -> bool:
    """Whether this is a name and no URL."""
    return isinstance(url, str) and url.startswith("@")


def check_reference(url: str, place: str = "") -> None:
    """Raise `ConfigurationError` for what no broker can be named."""
    if not is_broker_name(url[1:]):
        said = f"{place}: " if place else ""
        shown = url.rpartition("@")[2].partition("?")[0]  # the rest may be a password
        raise ConfigurationError(
            f"{said}'@{shown}' is not allowed: @ and the name of a broker, {NAME_RULE}"
        )


def broker_names() -> tuple[str, ...]:
    """The names of all brokers: those that were declared, then those of the environment alone.

    Raises `ConfigurationError` for a file with a mistake.
    """
    return _names(present_settings())


def primary_name() -> str | None:
    """The name of the broker for who says no URL; None if no broker is primary.

    It is the one that was declared so, else the one that is called so. Raises `ConfigurationError`
    for a file with a mistake.
    """
    settings = present_settings()
    return settings.primary or (_PRIMARY if _PRIMARY in _names(settings) else None)


def _look_up(name: str, place: str) -> tuple[str, str]:
    """What one name stands for, and where that is written."""
    variable = variable_of(name)
    told = os.environ.get(variable)
    if told:
        return told, f"@{name}, {variable} of the environment"
    settings = present_settings()
    if name not in settings.urls:
        said = f"{place}: " if place else ""
        raise ConfigurationError(
            f"{said}there is no broker @{name}: {_what_there_is(name, settings)}"
        )
    place = f"@{name}, {settings.place_of(name)}"
    url = _expanded(settings.urls[name], place)
    # The file is found from every folder below: for all of them a relative path is the same.
    return in_folder(url, settings.folder) if settings.folder else url, place


def _names(settings: Settings) -> tuple[str, ...]:
    known = {variable_of(name): name for name in settings.urls}
    for variable in sorted(os.environ):
        name = variable.removeprefix(variable_of("")).lower()
        if variable == variable_of(name) and os.environ[variable] and is_broker_name(name):
            known.setdefault(variable, name)
    return tuple(known.values())


def _what_there_is(name: str, settings: Settings) -> str:
    names = _names(settings)
    if names:
        where = f" ({settings.source})" if settings.source else ""
        shown = ", ".join(f"@{one}" for one in names)
        return f"{did_you_mean(name, names, '@')}there are {shown}{where}"
    if settings.source:
        return f"{settings.source} declares none"
    return (
        "no broker has a name. Names come from ltq.toml or [tool.ltq] of pyproject.toml, in the "
        f"current folder or above it, from ltq.configure_brokers, or from {variable_of(name)}"
    )


def _expanded(text: str, place: str) -> str:
    """Put the environment's variables into a URL. Only names of variables are ever shown."""
    missing = [one for one in _REFERENCE.findall(text) if not os.environ.get(one)]
    if missing:
        shown = " and ".join(f"${{{one}}}" for one in dict.fromkeys(missing))
        hint = did_you_mean(missing[0], os.environ)
        raise ConfigurationError(f"{place}: {shown} is not set, or empty. {hint}".rstrip())
    if "${" in _REFERENCE.sub("", text):
        raise ConfigurationError(
            f"{place}: what follows ${{ is not allowed: a variable's name and }}, as ${{REDIS_URL}}"
        )
    return _REFERENCE.sub(lambda match: os.environ[match[1]], text)
