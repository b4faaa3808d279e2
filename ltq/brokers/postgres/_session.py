"""What a broker keeps for one event loop: its connections, what it hears, and its watches."""

import asyncio
import os
import weakref

from ltq._aio.closing import Closing
from ltq._aio.threads import call_in
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
        weakref.finalize(self, self._opened.drop).atexit = False

    def sender(self, namespace: str) -> Sender:
        """What sends tasks of a namespace."""
        if namespace not in self._senders:
            self._senders[namespace] = Sender(namespace, self.link)
        return self._senders[namespace]

    async def aclose(self) -> None:
        """Close it. If this is cancelled, the closing goes on; a call waits for it."""
        await self._opened.aclose()


class _Opened:
    """What a session has opened in an event loop."""

    def __init__(
        self, link: Link, ears: Ears, watching: Watching, senders: dict[str, Sender]
    ) -> None:
        self._link = link
        self._ears = ears
        self._watching = watching
        self._senders = senders
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.aclose = Closing(self._close, "ltq-postgres-close")

    async def _close(self) -> None:
        await self._watching.aclose()
        await self._ears.aclose()
        for sender in self._senders.values():
            await sender.aclose()
        await self._link.aclose()

    def drop(self) -> None:
        """Close it, without a word. A garbage collection may call this, in any thread."""
        if self.aclose.is_done or self._process != os.getpid():
            return
        if self._loop.is_closed():
            self._abandon()
        else:
            call_in(self._loop, self._abandon)

    def _abandon(self) -> None:
        self._watching.abandon()
        self._ears.abandon()
        for sender in self._senders.values():
            sender.abandon()
        self._link.abandon()
