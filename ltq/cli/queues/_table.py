"""Queues at one moment, as rows of `ltq stats`."""

from rich.text import Text

from ltq.broker import Broker
from ltq.state import QueueStats

HEAD = ("queue", "high", "normal", "low", "delayed", "working", "dead", "rate/s")


def row(stats: QueueStats) -> list[str]:
    """Return the texts of a queue's row, under `HEAD`."""
    pending = (stats.by_priority[name] for name in HEAD[1:4])
    places = (stats.delayed, stats.working, stats.dead)
    return [stats.queue, *map(str, pending), *map(str, places), _rate(stats.rate)]


def cells(stats: QueueStats) -> list[Text]:
    """Return the styled texts of the row after the queue's name: zeros dim, dead letters red."""
    return [
        Text(text, style="dim" if text == "0" else "red" if name == "dead" else "")
        for name, text in zip(HEAD[1:], row(stats)[1:], strict=True)
    ]


def _rate(rate: float) -> str:
    """Return a short number: `0`, `0.02`, `0.5`, `12.3`, `1234`."""
    if rate == 0.0:
        return "0"
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2f}"


async def read_queues(broker: Broker) -> list[QueueStats]:
    """Return all queues of a broker. Raises `BrokerError`."""
    return await broker.stats(await broker.queues())
