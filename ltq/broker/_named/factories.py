"""What makes the brokers of a scheme: a class of LTQ, or an entry point of others."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import cast
from urllib.parse import unquote

from ltq.errors import ConfigurationError

_BUILT_IN = {
    "amqp": "ltq.brokers.rabbitmq:RabbitBroker",
    "amqps": "ltq.brokers.rabbitmq:RabbitBroker",
    "memory": "ltq.brokers.memory:MemoryBroker",
    "postgresql": "ltq.brokers.postgres:PostgresBroker",
    "redis": "ltq.brokers.redis:RedisBroker",
    "redis+cluster": "ltq.brokers.redis:RedisBroker",
    "redis+sentinel": "ltq.brokers.redis:RedisBroker",
    "rediss": "ltq.brokers.redis:RedisBroker",
    "rediss+cluster": "ltq.brokers.redis:RedisBroker",
    "rediss+sentinel": "ltq.brokers.redis:RedisBroker",
    "sqlite": "ltq.brokers.sqlite:SqliteBroker",
    "unix": "ltq.brokers.redis:RedisBroker",
}

_EXTRAS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "postgresql": "postgres"}
"""The extras that brokers need."""

_GROUP = "ltq.brokers"
"""The entry points of others' brokers."""


def factory_of(url: str) -> Callable[[str], object] | None:
    """What makes the broker of a URL; None if its scheme is unknown.

    Raises `ConfigurationError` if the scheme needs an extra that is not installed.
    """
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return cast(Callable[[str], object], getattr(_import(module, scheme), name))
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    for entry in entry_points(group=_GROUP).select(name=scheme):
        return cast(Callable[[str], object], entry.load())
    return None


def _import(module: str, scheme: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if scheme not in _EXTRAS:
            raise
        raise ConfigurationError(
            f"a broker URL that begins with {scheme}:// needs {error.name}, which is not "
            f"installed: pip install 'ltq[{_EXTRAS[scheme]}]'"
        ) from error


def known_schemes() -> list[str]:
    """All schemes, in alphabetical order."""
    from importlib.metadata import entry_points

    return sorted({*_BUILT_IN, *entry_points(group=_GROUP).names})


def in_folder(url: str, folder: str) -> str:
    """What a URL means that is written in a file of this folder.

    Where the path in it is one of the file system, what makes the broker has a function
    `in_folder(url, folder)`, which returns the URL with a relative path made absolute.
    """
    if ":///" not in unquote(
        url
    ):  # it names a host: nothing need be imported to know that it has no path
        return url
    hook = getattr(factory_of(url), "in_folder", None)
    return url if hook is None else cast(Callable[[str, str], str], hook)(url, folder)
