"""One slot on its way from a node of a cluster to another, as it always was: key after key."""

from collections.abc import Sequence
from dataclasses import dataclass

from devtools.redis_sets.node import Node

_AT_A_TIME = 100
_TIMEOUT = 5_000
"""Of one step, in milliseconds."""


@dataclass(frozen=True)
class SlotMove:
    """Call `begin`, then `move_keys` until it moved all, then `end`; or `undo`.

    In between keys that are still there are served by the source; who asks it for others is sent
    to the target (ASK), which serves only who says that it was sent (ASKING).
    """

    slot: int
    source: Node
    target: Node
    source_id: str
    target_id: str
    others: Sequence[Node] = ()

    def begin(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source_id)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target_id)

    def move_keys(self, most: int | None = None) -> int:
        """Move all keys, or at most so many; how many they were."""
        moved = 0
        while most is None or moved < most:
            count = _AT_A_TIME if most is None else min(_AT_A_TIME, most - moved)
            keys = self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, count)
            if not keys:
                break
            password = self.target.access.password
            auth = () if password is None else ("AUTH", password)
            where = ("127.0.0.1", self.target.port, "", 0, _TIMEOUT)
            self.source.ask("MIGRATE", *where, *auth, "KEYS", *keys)
            moved += len(keys)
        return moved

    def end(self) -> None:
        """Tell all that the target has the slot: the target first, so that it never has none."""
        for node in (self.target, self.source, *self.others):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.target_id)

    def undo(self) -> None:
        """Let the slot stay where it was; keys that were moved are lost to it."""
        for node in (self.source, self.target):
            node.ask("CLUSTER", "SETSLOT", self.slot, "STABLE")
