"""Where the nodes of a cluster are, and which one has a slot."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ResponseError,
)

from ltq.brokers.redis._connect.addresses import Address, Translate
from ltq.brokers.redis._connect.lookup import Lookup, failure, first_answer
from ltq.brokers.redis._connect.whereabouts import Ask, NowhereError, is_unknown_command

_WITHIN = 2.0
"""Seconds that one look at the cluster may take."""

_STAGGER = 0.3
"""Seconds that one node has for its answer until the next one is asked, too."""

_PAUSE = 0.1
"""Seconds between two looks: all links may find out at once that a node is gone."""

SLOTS = 16384


class _Range(NamedTuple):
    """Slots of one node."""

    first: int
    last: int
    owner: Address


class Topology:
    """The nodes of a cluster, for all links of an event loop.

    It is read when it is needed first, and again when a link finds that a node is gone.
    """

    def __init__(self, seeds: Sequence[Address], ask: Ask, translate: Translate) -> None:
        self._seeds = seeds
        self._ask = ask
        self._translate = translate
        self._ranges: list[_Range] = []
        self._nodes: list[Address] = []
        """All nodes, masters first."""
        self._moved: dict[int, Address] = {}
        """What redirections have told since the last look."""
        self._suspect: Address | None = None
        """A node that could not be reached: others are asked first."""
        self._is_stale = True
        self._looked_at = -math.inf
        self._lookup = Lookup("ltq-redis-cluster", self._look)
        self.aclose = self._lookup.aclose
        self.abandon = self._lookup.abandon

    async def owner(self, slot: int) -> Address:
        """The node that has a slot. Raises what redis-py raises."""
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        await self._refresh()
        owner = self._owner(slot)
        if owner is not None:
            return owner
        self._is_stale = True
        raise ClusterDownError(f"no node of the cluster serves slot {slot}")

    def known_owner(self, slot: int) -> Address | None:
        """The node that has a slot; None if that is to be looked up."""
        moved = self._moved.get(slot)
        return moved if moved is not None or self._is_stale else self._owner(slot)

    def name_of_owner(self, slot: int) -> str:
        """The node that had a slot at the last look, `"none"` if none had; empty before a look."""
        owner = self._moved.get(slot) or self._owner(slot)
        return str(owner or "none") if self._ranges else ""

    def _owner(self, slot: int) -> Address | None:
        place = bisect_right(self._ranges, slot, key=lambda one: one.first) - 1
        is_there = place >= 0 and self._ranges[place].last >= slot
        return self._ranges[place].owner if is_there else None

    async def masters(self) -> dict[Address, list[range]]:
        """The slots of each node that has any, in the order of these."""
        await self._refresh()
        slots: dict[Address, list[range]] = {}
        for one in self._ranges:
            slots.setdefault(one.owner, []).append(range(one.first, one.last + 1))
        return slots

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        """A node cannot be reached, or has not what was looked for."""
        if isinstance(error, MovedError):
            self._moved[error.slot_id] = self._translate(
                Address(error.host or address.host, error.port)
            )
            return
        known = {*self._moved.values(), *(one.owner for one in self._ranges)}
        if not self._is_stale and address in known:
            self._is_stale, self._suspect, self._moved = True, address, {}

    async def _refresh(self) -> None:
        if self._is_stale:
            await self._lookup()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._looked_at + _PAUSE - loop.time()))
        self._looked_at = loop.time()
        errors: dict[Address, Exception] = {}
        nodes = dict.fromkeys((*self._nodes, *self._seeds))
        found = await first_answer(
            sorted(nodes, key=lambda one: one == self._suspect),
            self._ask_one,
            errors,
            is_wanted=bool,
            stagger=_STAGGER,
            within=_WITHIN,
        )
        if not found:
            raise (
                failure("node of the cluster", errors)
                if errors
                else ClusterDownError("no node of the cluster has slots")
            )
        self._ranges = sorted(one[0] for one in found)
        self._nodes = [*dict.fromkeys(one.owner for one in self._ranges)]
        self._nodes += [node for one in found for node in one[1]]
        self._moved, self._is_stale = {}, False

    async def _ask_one(self, node: Address) -> list[tuple[_Range, list[Address]]]:
        """The slots and their nodes as one node knows them, with the replicas of each."""
        try:
            reply = await self._ask(node, ("CLUSTER", "SLOTS"))
        except NoPermissionError as error:
            raise NowhereError(f"the user needs the right +cluster|slots at {node}") from error
        except ResponseError as error:
            if "cluster support disabled" in str(error):
                raise NowhereError(
                    f"{node} is not a node of a cluster: use a URL without +cluster"
                ) from error
            if is_unknown_command(error):
                text = f"{node} does not know CLUSTER: it is no node of one, perhaps a sentinel"
                raise NowhereError(text) from error
            raise
        return [*self._read(reply, node)]

    def _read(self, reply: object, asked: Address) -> Iterator[tuple[_Range, list[Address]]]:
        for entry in reply if isinstance(reply, list) else ():
            match entry:
                case [int(first), int(last), list(owner), *replicas]:
                    at = [self._address(node, asked) for node in (owner, *replicas)]
                    yield _Range(first, last, at[0]), at[1:]

    def _address(self, node: Sequence[object], asked: Address) -> Address:
        """Where a node is. It may have no host of its own, or not say its name, but its number."""
        told, port = node[0], node[1]
        host = told.decode() if isinstance(told, bytes) else ""
        if host == "?":
            host = _metadata(node).get("ip", "")
        number = port if isinstance(port, int) else asked.port
        return self._translate(Address(host or asked.host, number))


def _metadata(node: Sequence[object]) -> dict[str, str]:
    words = node[3] if len(node) > 3 and isinstance(node[3], list) else []
    texts = [word.decode() for word in words if isinstance(word, bytes)]
    return dict(zip(texts[::2], texts[1::2], strict=False))


class BySlot:
    """The node that has a slot. Its scripts wait while the slot moves: ASKING is never sent."""

    within: float | None = None
    """See `Whereabouts`."""

    def __init__(self, topology: Topology, slot: int) -> None:
        self._topology = topology
        self._slot = slot

    async def address(self) -> Address:
        """See `Whereabouts`."""
        return await self._topology.owner(self._slot)

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        """See `Whereabouts`."""
        self._topology.mark_stale(address, error)

    async def check(self, connection: AbstractConnection) -> None:
        """See `Whereabouts`: MOVED tells if it is another one."""

    async def aclose(self) -> None:
        """See `Whereabouts`: the topology serves all links."""

    def abandon(self) -> None:
        """See `Whereabouts`."""


class AnyNode(BySlot):
    """A node that can be reached, whichever."""

    within: float | None = 1.0
    """See `Whereabouts`: a frozen node still accepts connections, and never answers."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology, 0)
        self._turn = 0
        self._present: Address | None = None

    async def address(self) -> Address:
        """See `Whereabouts`."""
        masters = [*await self._topology.masters()]
        self._present = masters[self._turn % len(masters)]
        return self._present

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        """See `Whereabouts`."""
        if address == self._present:  # other calls may have told it already
            self._turn, self._present = self._turn + 1, None
        super().mark_stale(address, error)


class AtNode(BySlot):
    """One node and no other."""

    def __init__(self, topology: Topology, address: Address) -> None:
        super().__init__(topology, 0)
        self._address = address

    async def address(self) -> Address:
        """See `Whereabouts`."""
        return self._address
