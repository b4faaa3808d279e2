"""The order of lanes, for a store that can read the first ones of it."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from ltq.brokers._rules.places import Lane

L = TypeVar("L", bound=Lane)

_FIRST_READ = 16
"""How many lanes are read at first."""


def read_in_turn(read: Callable[[int], Sequence[L]]) -> Generator[L, None, None]:
    """What `Lanes.in_turn` gives, from a function that reads so many of the first lanes.

    It reads more of them only if they are asked for, and from the front, as lanes that were served
    have another place by then.
    """
    many, seen = _FIRST_READ, set[str]()
    while len(lanes := read(many)) > 0:
        yield from (lane for lane in lanes if lane.name not in seen)
        if len(lanes) < many:
            return
        many *= 4
        seen.update(lane.name for lane in lanes)
