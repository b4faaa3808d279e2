"""What a broker keeps for one event loop: its connections, what it hears, and its watches."""

from ltq.brokers._sessions import Opened
from ltq.brokers.postgres._operations.sender import Sender
from ltq.brokers.postgres._server.ears import Ears
from ltq.brokers.postgres._server.link import Link
from ltq.brokers.postgres._server.url import UrlSettings
from ltq.brokers.postgres._watching import Watching


class Session:
    """What a broker keeps for the running event loop.

    Without `aclose` it is closed when nobody holds it any more. Nothing that runs in the background
    may hold it.
    """

    def __init__(self, settings: UrlSettings) -> None:
        self.link = Link(settings)
        self.ears = Ears(self.link)
        self.watching = Watching(self.link, self.ears)
        self._senders: dict[str, Sender] = {}
        self._opened = _Opened(self.link, self.ears, self.watching, self._senders)
        self._opened.drop_with(self)

    def sender(self, namespace: str) -> Sender:
        """What sends tasks of a namespace."""
        if namespace not in self._senders:
            self._senders[namespace] = Sender(namespace, self.link)
        return self._senders[namespace]

    async def aclose(self) -> None:
        """Close it. If this is cancelled, the closing goes on; a call waits for it."""
        await self._opened.aclose()


class _Opened(Opened):
    """What a session has opened in an event loop."""

    def __init__(
        self, link: Link, ears: Ears, watching: Watching, senders: dict[str, Sender]
    ) -> None:
        super().__init__("ltq-postgres-close")
        self._link = link
        self._ears = ears
        self._watching = watching
        self._senders = senders

    async def _close(self) -> None:
        await self._watching.aclose()
        await self._ears.aclose()
        for sender in self._senders.values():
            await sender.aclose()
        await self._link.aclose()

    def _abandon(self) -> None:
        self._watching.abandon()
        self._ears.abandon()
        for sender in self._senders.values():
            sender.abandon()
        self._link.abandon()
