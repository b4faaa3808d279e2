"""Idle connections of many links: each may use those of the others, and the oldest are closed.

In a cluster each namespace has a link, and a process may send to thousands of them. But it may have
only so many open files, many systems say 1024, and a new connection takes longer than a call.
"""

from operator import attrgetter
from typing import Protocol

from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._server.wire import Wire

MOST_IDLE = 200
"""Most idle connections of the links of an event loop, of all servers."""

_LOOK_EVERY = 20
"""How many connections are opened between two looks: a look is at all of them."""


class Holder(Protocol):
    """A link that has connections."""

    def is_idle(self, wire: Wire) -> bool:
        """Whether a connection is open for calls, and none uses it."""
        ...

    def give_up(self, wire: Wire) -> bool:
        """Forget a connection if no call uses it; return whether that is so."""
        ...


class IdleWires:
    """Knows the connections of all links of a cluster in one event loop."""

    def __init__(self) -> None:
        self._holders: dict[Address, dict[Wire, Holder]] = {}
        """By the server, the links that have its connections; the one taken last is last."""
        self._opened = 0

    def add(self, holder: Holder, wire: Wire) -> None:
        """A link has opened a connection. If too many are idle, the oldest are closed."""
        if wire.address is not None:
            self._holders.setdefault(wire.address, {})[wire] = holder
        self._opened += 1
        if self._opened % _LOOK_EVERY == 0:
            self._close_oldest()

    def take(self, taker: Holder, address: Address | None) -> Wire | None:
        """An idle connection of another link to a server, for the taker; None if there is none."""
        wires = {} if address is None else self._holders.get(address, {})
        for wire in reversed(wires):
            if wire.is_open and wires[wire].give_up(wire):
                del wires[wire]
                wires[wire] = taker
                return wire
        return None

    def _close_oldest(self) -> None:
        for address, wires in self._holders.items():
            self._holders[address] = {one: holder for one, holder in wires.items() if one.is_open}
        held = [pair for wires in self._holders.values() for pair in wires.items()]
        idle = [wire for wire, holder in held if holder.is_idle(wire)]
        for wire in sorted(idle, key=attrgetter("used_at"))[:-MOST_IDLE]:
            wire.break_off("it was idle")
