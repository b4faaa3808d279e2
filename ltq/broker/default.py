"""The broker that is used: the one that was given, that of a URL or a name, or the default one."""

import os

from ltq._display.values import short_repr
from ltq.broker._named.resolve import check_reference, is_reference, primary_name
from ltq.broker.base import Broker
from ltq.errors import ConfigurationError

DEFAULT_URL = "redis://localhost:6379"
URL_VARIABLE = "LTQ_BROKER_URL"


def broker_at(url: str | None) -> Broker:
    """A broker of a URL or a name; without either, the default one.

    That is the environment's `LTQ_BROKER_URL`, else the primary one of those with names, else
    `redis://localhost:6379`. Raises `ConfigurationError`.
    """
    if url is not None:
        return Broker.from_url(url)
    told = os.environ.get(URL_VARIABLE)
    if told:
        try:
            return Broker.from_url(told)
        except ConfigurationError as error:
            raise ConfigurationError(f"{URL_VARIABLE} of the environment: {error}") from error
    primary = primary_name()
    return Broker.from_url(DEFAULT_URL if primary is None else f"@{primary}")


class BrokerChoice:
    """The broker of a worker or a scheduler, which may be given as a name.

    A URL is looked at at once, also that of `LTQ_BROKER_URL`: nothing else can come before it. A
    name, and what is used without either, is looked up at the first use, so that the code may call
    `configure_brokers` after it has imported its workers.
    """

    def __init__(self, broker: object, url: str | None) -> None:
        """Raises `ConfigurationError` if both are given, and for what is no broker or no URL."""
        self._url = url
        self._found: dict[str, Broker] = {}
        """The broker, once it is found."""
        if broker is not None:
            self._found["broker"] = _checked(broker, url)
            return
        given = (os.environ.get(URL_VARIABLE) or None) if url is None else url
        if given is not None and is_reference(given):
            check_reference(given)
        elif given is not None:
            self.get()

    def get(self) -> Broker:
        """The broker: the same one at each call, from any thread. Raises `ConfigurationError`."""
        found = self._found.get("broker")
        if found is None:
            # No lock, which a fork could leave locked: of two threads, one makes it in vain.
            found = self._found.setdefault("broker", broker_at(self._url))
        return found

    async def aclose(self) -> None:
        """Close the broker's connections in this event loop. One that nobody has used has none."""
        found = self._found.get("broker")
        if found is not None:
            await found.aclose()


def _checked(broker: object, url: str | None) -> Broker:
    if url is not None:
        raise ConfigurationError("broker and broker_url exclude each other: give one of them")
    if isinstance(broker, Broker):
        return broker
    if isinstance(broker, str):  # not shown: it may have a password
        raise ConfigurationError("broker is not allowed to be a text: a URL is given as broker_url")
    raise ConfigurationError(
        f"broker={short_repr(broker)} is not allowed: an object that Broker.from_url(url) returned"
    )
