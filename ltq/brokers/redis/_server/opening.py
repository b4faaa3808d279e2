"""What a broker's URL and arguments say, and opening links accordingly in one event loop."""

from collections.abc import Callable
from functools import partial

from redis.asyncio import Redis

from ltq.broker import parse_switch, redact
from ltq.brokers.redis._connect.addresses import AddressMap, translation
from ltq.brokers.redis._connect.asking import asking
from ltq.brokers.redis._connect.cluster import Topology
from ltq.brokers.redis._connect.connections import maker
from ltq.brokers.redis._connect.credentials import AskCredentials, check_credentials
from ltq.brokers.redis._connect.sentinel import BySentinel
from ltq.brokers.redis._connect.whereabouts import Whereabouts
from ltq.brokers.redis._server.busy_poll import parse_busy_poll
from ltq.brokers.redis._server.keys import parse_prefix
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import ClusterLinks, Links
from ltq.brokers.redis._server.notifications import Notifications, parse_notifications
from ltq.brokers.redis._server.replicas import parse_replicas
from ltq.brokers.redis._server.url import new_client, split_url
from ltq.errors import ConfigurationError


class Opening:
    """Opens links as a broker's URL and arguments say. Raises `ConfigurationError` if it cannot."""

    def __init__(
        self,
        url: str,
        connect: Callable[[], Redis] | None,
        credentials: AskCredentials | None,
        address_map: AddressMap | None,
    ) -> None:
        split = split_url(url, check=connect is None)
        own = split.own
        check_credentials(credentials, has_password=split.has_password)
        self.notifications: Notifications = parse_notifications(own["notifications"])
        self._keeps_history = parse_switch("history", own["history"])
        self._busy_poll = parse_busy_poll(own["busy_poll"])
        self._lists_final = parse_switch("list_final", own["list_final"])
        self._replicas = parse_replicas(own["replicas"])
        self._keys = parse_prefix(own["prefix"])
        self._location, self._sentinel_url = split.location, split.sentinel_url
        if split.location.kind == "server" and address_map is not None:
            raise ConfigurationError(
                f"address_map has no effect with the broker URL {redact(url)!r}: only sentinels "
                "and nodes of a cluster tell addresses"
            )
        if split.location.kind != "server" and connect is not None:
            raise ConfigurationError(
                f"connect is not allowed with the broker URL {redact(url)!r}: it makes the client "
                "of one server, and that of sentinels or a cluster is looked for"
            )
        self._translate = translation(address_map, own.get("map", ""))
        name = redact(url).partition("://")[2]
        is_named = name[:1] not in ("", "/", "?") or url.lower().startswith("unix:")
        self._name = name if is_named else f"localhost{name}"  # as redis-py reads it
        self._connect = connect or partial(new_client, self._location.url)
        self._credentials = credentials

    def new_link(self, whereabouts: Whereabouts | None = None) -> Link:
        """New connections, to the URL's host if nothing says where they lead."""
        link = Link(
            self._connect, self._name, self._busy_poll, self._keys, whereabouts, self._credentials
        )
        link.keeps_history, link.lists_final = self._keeps_history, self._lists_final
        if self._location.kind != "cluster" and self.notifications != "poll":
            link.tells_in = str(link.database)  # a cluster would tell all of its nodes
        link.replicas, link.cluster_url = self._replicas, self._location.cluster_url
        return link

    def open_links(self) -> Links:
        """The links to the server or the cluster. Nothing is connected yet."""
        location = self._location
        if location.kind == "server":
            return Links(self.new_link())
        if location.kind == "sentinel":
            make = maker(new_client(self._sentinel_url).connection_pool, None)
            whereabouts = BySentinel(location.nodes, location.master, make, self._translate)
            link = self.new_link(whereabouts)
            whereabouts.follow(link.look_again)
            return Links(link, whereabouts)
        ask = asking(maker(new_client(location.url).connection_pool, self._credentials))
        return ClusterLinks(Topology(location.nodes, ask, self._translate), self.new_link)
