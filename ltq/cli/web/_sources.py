"""What `ltq web` shows: brokers by URL or name, and those of the user's workers."""

from collections.abc import Sequence

from ltq.app import App
from ltq.broker.default import broker_at
from ltq.cli._broker import brokers_to_open, warn_of_store
from ltq.cli._target import load, wrong_type
from ltq.web._source.site import Named
from ltq.worker import Worker


def load_sources(given: Sequence[str]) -> list[Named]:
    """The brokers and workers of the arguments; without any those with names, or the default one.

    Raises `ConfigurationError`, `CommandError`.
    """
    if not given:
        return [Named(broker_at(one.url), one.name.lstrip("@")) for one in brokers_to_open(None)]
    return [source for one in given for source in _load(one)]


def _load(text: str) -> list[Named]:
    if "://" in text or text.startswith("@"):
        return [Named(broker_at(text), text[1:] if text.startswith("@") else "")]
    found = load(text, Worker, App)
    if isinstance(found, App):
        return [Named(worker) for worker in found.workers]
    if isinstance(found, Worker):
        return [Named(found)]
    raise wrong_type(text, "an ltq.Worker or ltq.App", found)


def warn_of_stores(sources: Sequence[Named]) -> None:
    """Say which brokers only this process can reach, and which are not there yet."""
    for broker in {one.broker.url: one.broker for one in sources}.values():
        warn_of_store(broker)


async def close_all(sources: Sequence[Named]) -> None:
    """Close the connections."""
    for one in sources:
        await one.broker.aclose()
