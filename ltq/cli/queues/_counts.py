"""Queues at one moment, as `ltq stats` shows them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from rich.text import Text

from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._doctor.survey import waiting_by_priority
from ltq.brokers.redis._link import Link
from ltq.cli._options import open_broker
from ltq.state import QueueStats

HEAD = ("queue", "high", "normal", "low", "delayed", "working", "dead", "rate/s")


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue at one moment."""

    stats: QueueStats
    waiting: Mapping[str, int] | None
    """Ready tasks by priority; None where that is not known."""

    def row(self) -> list[str]:
        """What stands under the head."""
        stats = self.stats
        if self.waiting is None:
            ready = ["", str(stats.pending), ""]
        else:
            ready = [str(self.waiting[name]) for name in HEAD[1:4]]
        places = (stats.delayed, stats.working, stats.dead)
        return [stats.queue, *ready, *map(str, places), _rate(stats.rate)]

    def cells(self) -> list[Text]:
        """The same but for the queue's name: what is nothing is pale, dead letters are red."""
        return [
            Text(text, style="dim" if text == "0" else "red" if name == "dead" else "")
            for name, text in zip(HEAD[1:], self.row()[1:], strict=True)
        ]

    def as_json(self) -> dict[str, object]:
        """What a program reads."""
        return {**asdict(self.stats), "waiting": self.waiting}


def _rate(rate: float) -> str:
    """Enough of it: `0`, `0.02`, `0.5`, `12.3`, `1234`."""
    if rate == 0.0:
        return "0"
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2f}"


class Reader:
    """Reads the depths of all queues, as often as one likes."""

    def __init__(self, broker: Broker, link: Link | None) -> None:
        self._broker = broker
        self._link = link

    async def read(self) -> list[Depth]:
        """All queues there are. Raises `BrokerError`."""
        stats = await self._broker.stats(await self._broker.queues())
        return [Depth(queue, await self._waiting(queue.queue)) for queue in stats]

    async def _waiting(self, queue: str) -> Mapping[str, int] | None:
        return None if self._link is None else await waiting_by_priority(self._link, queue)


@asynccontextmanager
async def open_reader(url: str | None) -> AsyncIterator[Reader]:
    """What reads the queues of the broker at a URL."""
    async with open_broker(url) as broker:
        if not isinstance(broker, RedisBroker):
            yield Reader(broker, None)
            return
        link = broker.new_link()
        try:
            yield Reader(broker, link)
        finally:
            await link.aclose()
