"""The watch hubs of one event loop: keyspace notifications come only from the node of a key."""

from ltq._aio.closing import close_all
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.notifications import Notifications
from ltq.brokers.redis._watch_hub import WatchHub


class WatchHubs:
    """One hub for each link: one for all namespaces, or in a cluster one for each."""

    def __init__(self, links: Links, notifications: Notifications) -> None:
        self._links = links
        self._notifications: Notifications = notifications
        self._hubs: dict[str, WatchHub] = {}

    def of(self, namespace: str) -> WatchHub:
        """The hub that watches the tasks of a namespace."""
        link = self._links.of(namespace)
        hub = self._hubs.get(link.home)
        if hub is None:
            keeps = not self._links.is_split  # there may be thousands of namespaces
            hub = self._hubs[link.home] = WatchHub(link, self._notifications, keeps=keeps)
        return hub

    async def aclose(self) -> None:
        """See `WatchHub.aclose`. Those that are opened meanwhile are closed, too."""
        try:
            await close_all(hub.aclose for hub in self._take())
        finally:
            if self._hubs:
                await self.aclose()

    def abandon(self) -> None:
        """See `WatchHub.abandon`."""
        for hub in self._take():
            hub.abandon()

    def _take(self) -> list[WatchHub]:
        hubs = [*self._hubs.values()]
        self._hubs.clear()
        return hubs
