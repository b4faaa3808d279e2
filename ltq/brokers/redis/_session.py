"""What a broker has in one event loop: connections, the watch hub, and sends that share a call."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from functools import partial

from ltq._aio.batcher import Batcher
from ltq.brokers.redis import _keys
from ltq.brokers.redis._link import Link, is_lasting
from ltq.brokers.redis._notifications import Notifications
from ltq.brokers.redis._repair import register
from ltq.brokers.redis._watch_hub import WatchHub
from ltq.brokers.redis._wire import (
    BATCH,
    PUBLISHED,
    chunks,
    envelope_arguments,
    envelope_size,
    queue_of_envelope,
)
from ltq.errors import BrokerError
from ltq.message import Envelope, Published


class Session:
    """What a broker has in one event loop."""

    def __init__(self, link: Link, notifications: Notifications) -> None:
        self.link = link
        self.hub = WatchHub(link, notifications)
        self.senders: dict[str, Batcher[Envelope, Published]] = {}
        self.registered: set[str] = set()

    def sender(self, namespace: str) -> Batcher[Envelope, Published]:
        """Joins single sends of one namespace."""
        sender = self.senders.get(namespace)
        if sender is None:
            sender = Batcher(partial(self._send_all, namespace), BATCH, is_lasting)
            self.senders[namespace] = sender
        return sender

    def _send_all(self, namespace: str, batch: list[Envelope]) -> Awaitable[list[Published]]:
        return (self.send if len(batch) == 1 else self._send_chunks)(namespace, batch)

    async def _send_chunks(self, namespace: str, envelopes: list[Envelope]) -> list[Published]:
        answers: list[Published] = []
        for _, chunk in chunks(envelopes, queue_of_envelope, envelope_size):
            answers += await self.send(namespace, [envelopes[i] for i in chunk])
        return answers

    async def send(self, namespace: str, envelopes: Sequence[Envelope]) -> list[Published]:
        """One `send` script."""
        if namespace not in self.registered:
            await self.register(namespace)
        prefix, groups = _keys.prefix(namespace), envelope_arguments(envelopes)
        replies = await self.link.run("send", prefix, "", *groups, if_repeated="1")
        if len(replies) > len(envelopes):  # a new lane: perhaps the server was emptied
            self.registered.discard(namespace)
            with suppress(BrokerError):  # what was sent is sent; the next send sees to it
                await self.register(namespace)
        return [PUBLISHED[reply] for reply in replies[: len(envelopes)]]

    async def register(self, namespace: str) -> None:
        """Make the namespace known to tools."""
        await register(self.link, namespace)
        self.registered.add(namespace)

    async def aclose(self) -> None:
        await self.hub.aclose()
        await self.link.aclose()
