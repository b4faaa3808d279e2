"""Queues at one moment, as rows of `ltq stats`."""

from collections.abc import Iterable

from rich.text import Text

from ltq.broker import Broker, unserved_text
from ltq.state import QueueStats

HEAD = ("queue", "high", "normal", "low", "delayed", "working", "dead", "rate/s")


def title(stats: QueueStats) -> str:
    """Return a queue's name, with a mark if it is paused."""
    return f"{stats.queue} (paused)" if stats.paused else stats.queue


def row(stats: QueueStats) -> list[str]:
    """Return the texts of a queue's row, under `HEAD`."""
    pending = (stats.by_priority[name] for name in HEAD[1:4])
    places = (stats.delayed, stats.working, stats.dead)
    return [title(stats), *map(str, pending), *map(str, places), _rate(stats.rate)]


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


def notes(queues: Iterable[QueueStats]) -> list[str]:
    """Return lines about what no live worker knows or serves."""
    found = list(queues)
    unknown = [unserved_text(queue) for queue in found if queue.unserved]
    if found and not any(queue.is_served for queue in found):
        return [*unknown, "no worker is alive"]
    alone = [
        f"{queue.queue}: no live worker serves it"
        for queue in found
        if not queue.is_served and queue.pending > sum(queue.unserved.values())
    ]
    return [*unknown, *alone]


async def read_queues(broker: Broker) -> list[QueueStats]:
    """Return all queues of a broker. Raises `BrokerError`."""
    return await broker.stats(await broker.queues())
