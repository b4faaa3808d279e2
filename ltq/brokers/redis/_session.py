"""What a broker keeps for one event loop: connections, the watch hub, and senders."""

from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.sender import Sender
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.notifications import Notifications
from ltq.brokers.redis._watch_hub import WatchHub


class Session:
    """What a broker keeps for one event loop."""

    def __init__(self, link: Link, notifications: Notifications) -> None:
        self.link = link
        self.hub = WatchHub(link, notifications)
        self.registry = Registry(link)
        self._senders: dict[str, Sender] = {}

    def sender(self, namespace: str) -> Sender:
        """The sender of a namespace."""
        sender = self._senders.get(namespace)
        if sender is None:
            sender = self._senders[namespace] = Sender(namespace, self.link, self.registry)
        return sender

    async def aclose(self) -> None:
        """Close the connections."""
        await self.hub.aclose()
        await self.link.aclose()
