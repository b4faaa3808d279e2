"""What `ltq web` shows: brokers by URL or name, and those of the user's workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ltq.app import App
from ltq.broker import Broker
from ltq.broker.default import broker_at
from ltq.cli._broker import brokers_to_open, warn_of_store
from ltq.cli._target import load, wrong_type
from ltq.worker import Worker


@dataclass(frozen=True, slots=True)
class Source:
    """A broker, or a worker on one, and the name that it was given by."""

    source: Broker | Worker[Any]
    name: str = ""


def load_sources(given: Sequence[str]) -> list[Source]:
    """The brokers and workers of the arguments; without any those with names, or the default one.

    Raises `ConfigurationError`, `CommandError`.
    """
    if not given:
        return [Source(broker_at(one.url), one.name.lstrip("@")) for one in brokers_to_open(None)]
    return [source for one in given for source in _load(one)]


def _load(text: str) -> list[Source]:
    if "://" in text or text.startswith("@"):
        return [Source(broker_at(text), text[1:] if text.startswith("@") else "")]
    found = load(text, Worker, App)
    if isinstance(found, App):
        return [Source(worker) for worker in found.workers]
    if isinstance(found, Worker):
        return [Source(found)]
    raise wrong_type(text, "an ltq.Worker or ltq.App", found)


def warn_of_stores(sources: Sequence[Source]) -> None:
    """Say which brokers only this process can reach, and which are not there yet."""
    brokers = [_broker(one.source) for one in sources]
    for broker in {broker.url: broker for broker in brokers}.values():
        warn_of_store(broker)


def _broker(source: Broker | Worker[Any]) -> Broker:
    return source if isinstance(source, Broker) else source.broker


async def close_all(sources: Sequence[Source]) -> None:
    """Close the connections."""
    for one in sources:
        await _broker(one.source).aclose()
