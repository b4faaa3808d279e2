"""What a broker keeps for one event loop: connections, the watch hub, and senders."""

import asyncio
import os
import weakref

from ltq._aio.threads import call_in
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.sender import Sender
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.notifications import Notifications
from ltq.brokers.redis._watch_hub import WatchHub


class Session:
    """What a broker keeps for the running event loop.

    A session that nobody holds any more closes itself, as does that of a broker which is dropped
    without `aclose`. Nothing that runs in the background may hold the session.
    """

    def __init__(self, link: Link, notifications: Notifications) -> None:
        self.link = link
        self.hub = WatchHub(link, notifications)
        self.registry = Registry(link)
        self._senders: dict[str, Sender] = {}
        opened = _Opened(self.hub, link)
        self._dropped = weakref.finalize(self, opened.drop)
        self._dropped.atexit = False

    def sender(self, namespace: str) -> Sender:
        """The sender of a namespace."""
        sender = self._senders.get(namespace)
        if sender is None:
            sender = self._senders[namespace] = Sender(namespace, self.link, self.registry)
        return sender

    async def aclose(self) -> None:
        """Close the connections."""
        self._dropped.detach()
        await self.hub.aclose()
        await self.link.aclose()


class _Opened:
    """What a session has opened in an event loop."""

    def __init__(self, hub: WatchHub, link: Link) -> None:
        self._hub = hub
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()

    def drop(self) -> None:
        """Close it, without a word. A garbage collection may call this, in any thread."""
        if self._process != os.getpid():
            _inherited.append(self)  # closing it would disturb the parent
        elif self._loop.is_closed():
            self._abandon()
        else:
            call_in(self._loop, self._abandon)

    def _abandon(self) -> None:
        self._hub.abandon()
        self._link.abandon()


_inherited: list[_Opened] = []
"""What a forked process got from its parent and has dropped."""
