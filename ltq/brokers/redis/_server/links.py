"""The links of one event loop: one for all namespaces, or in a cluster one for each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count

from redis.crc import key_slot
from redis.exceptions import RedisError

from ltq._aio.closing import close_all
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.cluster import SLOTS, AnyNode, AtNode, BySlot, Topology
from ltq.brokers.redis._connect.whereabouts import Whereabouts
from ltq.brokers.redis._server.idle import IdleWires
from ltq.brokers.redis._server.keys import Keys
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import unanswered


class Links:
    """One link for all namespaces."""

    def __init__(self, link: Link, whereabouts: Whereabouts | None = None) -> None:
        self.any = link
        """A link for what any server can answer."""
        self._whereabouts = whereabouts

    @property
    def keys(self) -> Keys:
        """The names of keys."""
        return self.any.keys

    @property
    def is_split(self) -> bool:
        """Whether namespaces are on several servers, some of which may be away."""
        return False

    def of(self, namespace: str) -> Link:
        """The link to the server that has a namespace."""
        return self.any

    def at(self, key: str) -> Link:
        """The link to the server that has a key."""
        return self.any

    def server_of(self, namespace: str) -> str:
        """Where a namespace is, as far as known without asking; empty if nothing is known."""
        return ""

    async def masters(self) -> list[Link]:
        """A link to each server that has tasks. Raises `BrokerError`."""
        return [self.any]

    async def uncovered(self) -> int:
        """How many slots of a cluster no node has. Raises `BrokerError`."""
        return 0

    async def aclose(self) -> None:
        """Close all connections."""
        whereabouts = () if self._whereabouts is None else (self._whereabouts.aclose,)
        await close_all((self.any.aclose, *whereabouts))

    def abandon(self) -> None:
        """Close all connections without waiting, in the event loop or after that was closed."""
        self.any.abandon()
        if self._whereabouts is not None:
            self._whereabouts.abandon()


class ClusterLinks(Links):
    """A link for each namespace, which leads to the node that has it.

    So a node that is away holds up nobody else's calls.
    """

    def __init__(self, topology: Topology, new_link: Callable[[Whereabouts], Link]) -> None:
        super().__init__(new_link(AnyNode(topology)))
        self.topology = topology
        self._new_link = new_link
        self._namespaces: dict[str, Link] = {}
        self._slots: dict[str, Link] = {}
        self._nodes: dict[Address, Link] = {}
        self._idle = IdleWires()
        self._is_closed = False

    @property
    def is_split(self) -> bool:
        """See `Links`."""
        return True

    def of(self, namespace: str) -> Link:
        """See `Links`."""
        link = self._namespaces.get(namespace)
        if link is None:
            link = self._namespaces[namespace] = self._to(self.keys.prefix(namespace))
            link.home = namespace
        return link

    def at(self, key: str) -> Link:
        """See `Links`."""
        link = self._slots.get(key)
        if link is None:
            link = self._slots[key] = self._to(key)
        return link

    def server_of(self, namespace: str) -> str:
        """See `Links`."""
        return self.topology.name_of_owner(_slot(self.keys.prefix(namespace)))

    async def masters(self) -> list[Link]:
        """See `Links`."""
        return [self._node(address, slots) for address, slots in (await self._slots_now()).items()]

    async def uncovered(self) -> int:
        """See `Links`."""
        return SLOTS - sum(
            len(one) for slots in (await self._slots_now()).values() for one in slots
        )

    async def _slots_now(self) -> Mapping[Address, Sequence[range]]:
        await self.any.call("PING")  # it looks where the nodes are, and tells what is wrong
        try:
            return await self.topology.masters()
        except RedisError as error:
            raise unanswered(error, self.any.name) from error

    def _node(self, address: Address, slots: Sequence[range]) -> Link:
        link = self._nodes.get(address)
        if link is None:
            link = self._made(AtNode(self.topology, address))
            link.name = str(address)
            self._nodes[address] = link
        if not self._is_in(slots, link.home):  # it is new, or that slot has moved
            link.home = next(home for home in _homes() if self._is_in(slots, home))
        return link

    def _is_in(self, slots: Sequence[range], namespace: str) -> bool:
        slot = _slot(self.keys.prefix(namespace))
        return any(slot in one for one in slots)

    async def aclose(self) -> None:
        """See `Links`."""
        self._is_closed = True
        links = (link.aclose for link in self._all())
        await close_all((*links, super().aclose, self.topology.aclose))

    def abandon(self) -> None:
        """See `Links`."""
        self._is_closed = True
        for link in self._all():
            link.abandon()
        super().abandon()
        self.topology.abandon()

    def _all(self) -> list[Link]:
        return [*self._namespaces.values(), *self._slots.values(), *self._nodes.values()]

    def _to(self, key: str) -> Link:
        slot = _slot(key)
        link = self._made(BySlot(self.topology, slot))
        link.borrow = lambda: self._idle.take(link, self.topology.known_owner(slot))
        return link

    def _made(self, whereabouts: Whereabouts) -> Link:
        link = self._new_link(whereabouts)
        link.on_opened = partial(self._idle.add, link)
        if self._is_closed:  # nobody would close this one
            link.abandon()
        return link


def _homes() -> Iterator[str]:
    """Names of namespaces of which each slot has one."""
    return (f"probe-{number}" for number in count())  # 163,976 are enough for all slots


def _slot(key: str) -> int:
    """The slot of a key: that of its hash tag, if it has one."""
    return key_slot(key.encode())
