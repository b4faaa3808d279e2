"""What a broker keeps for one event loop: connections, watch hubs, and what sends."""

import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

from ltq._aio.closing import close_all
from ltq.brokers._sessions import Opened
from ltq.brokers.redis._hubs import WatchHubs
from ltq.brokers.redis._item_calls import ItemCalls
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.schedule_slots import Firer
from ltq.brokers.redis._operations.sender import Sender
from ltq.brokers.redis._operations.worker_registry import Announcer
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.notifications import Notifications
from ltq.names import namespace_of


class Session:
    """What a broker keeps for the running event loop.

    Without `aclose` it is closed when nobody holds it any more, or when the event loop is closed by
    `asyncio.run` or a `Runner`. Nothing that runs in the background may hold the session.
    """

    def __init__(self, links: Links, notifications: Notifications) -> None:
        self.links = links
        self.hubs = WatchHubs(links, notifications)
        self.registry = Registry(links)
        self.announcer = Announcer(links, self.registry)
        self._senders: dict[str, Sender] = {}
        self._firers: dict[str, Firer] = {}
        self._item_calls: dict[str, ItemCalls] = {}
        self._opened = _Opened(self.hubs, self.registry, links)
        self._end_of_loop = _start(self._opened.close_with_the_loop())
        self._opened.drop_with(self)

    def link(self, queue: str) -> Link:
        """The link to the server that has a queue."""
        return self.links.of(namespace_of(queue))

    def sender(self, namespace: str) -> Sender:
        """The sender of a namespace."""
        sender = self._senders.get(namespace)
        if sender is None:
            sender = self._senders[namespace] = Sender(
                namespace, self.links.of(namespace), self.registry
            )
        return sender

    def firer(self, namespace: str) -> Firer:
        """What fires the schedules of a namespace."""
        firer = self._firers.get(namespace)
        if firer is None:
            firer = self._firers[namespace] = Firer(
                namespace, self.links.of(namespace), self.registry
            )
        return firer

    def item_calls(self, namespace: str) -> ItemCalls:
        """What adds and reads the items of a namespace's streams."""
        calls = self._item_calls.get(namespace)
        if calls is None:
            calls = self._item_calls[namespace] = ItemCalls(namespace, self.links.of(namespace))
        return calls

    async def aclose(self) -> None:
        """Close the connections. If this is cancelled, the closing goes on; a call waits for it."""
        await self._opened.aclose()


class _Opened(Opened):
    """What a session has opened in an event loop."""

    def __init__(self, hubs: WatchHubs, registry: Registry, links: Links) -> None:
        super().__init__("ltq-redis-close")
        self._hubs = hubs
        self._registry = registry
        self._links = links
        self._is_dropped = False

    async def close_with_the_loop(self) -> AsyncGenerator[None, None]:
        """Close it when the event loop shuts its asynchronous generators down, before its end."""
        try:
            yield
        finally:
            if not (self._is_dropped or self.is_inherited):
                await self.aclose()

    def drop(self) -> None:
        """Close it, without a word. A garbage collection may call this, in any thread."""
        is_dropped, self._is_dropped = self._is_dropped, True
        if is_dropped or self.aclose.is_done:
            return
        if self.is_inherited:
            _inherited.append(self)  # a garbage collection would close its sockets
        else:
            self._abandon_there()

    async def _close(self) -> None:
        await close_all((self._hubs.aclose, self._registry.aclose, self._links.aclose))

    def _abandon(self) -> None:
        self._links.abandon()  # first: what still runs could not close its connection
        self._registry.abandon()
        self._hubs.abandon()


def _start(steps: AsyncGenerator[None, None]) -> AsyncGenerator[None, None]:
    """Let the running event loop know a generator, but not what becomes of it without the loop."""
    known, finalizer = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(known, None)
    try:
        with suppress(StopIteration):  # this is how a step says that it has come to its `yield`
            anext(steps).__await__().send(None)
    finally:
        sys.set_asyncgen_hooks(known, finalizer)
    return steps


_inherited: list[_Opened] = []
"""What a forked process got from its parent and has dropped."""
