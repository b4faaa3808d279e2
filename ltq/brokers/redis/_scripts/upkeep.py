"""The calls of the scripts that look after a server: what its keys hold, and what they should."""

from typing import ClassVar, NamedTuple

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Flag, Script
from ltq.brokers.redis._server.call import Argument, Reply


class KeySeen(NamedTuple):
    """What a key holds."""

    type: str
    """The type as Redis names it; "none" if the key does not exist."""
    ttl: int
    """Milliseconds until it expires; -1 if it does not."""
    status: str
    """The status of a task; empty for other keys."""
    has_place: bool
    """False for a task that has lost its place."""


class ExamineCall(Script[list[KeySeen]], frozen=True, kw_only=True):
    """Say what keys hold."""

    name: ClassVar[str] = "examine"

    thorough: Flag = ""
    names: list[bytes]

    def read(self, reply: Reply) -> list[KeySeen]:
        return [
            KeySeen(kind.decode(), ttl, status.decode("utf-8", "replace"), placed == 1)
            for kind, ttl, status, placed in reply
        ]


class Repaired(NamedTuple):
    """Tasks that had lost their place."""

    repaired: int
    """How many were requeued."""
    doubtful: int
    """How many pending tasks may be missing in their ready list, which should be read."""


class RepairCall(Script[Repaired], frozen=True, kw_only=True):
    """Give tasks back the place they should have."""

    name: ClassVar[str] = "repair"

    lease: float
    before: str = ""
    ids: list[bytes]

    def read(self, reply: Reply) -> Repaired:
        repaired, doubtful = replies.integers(reply)
        return Repaired(repaired, doubtful)


class RightsCall(Script[list[str]], frozen=True, kw_only=True):
    """Say which commands the user may not use."""

    name: ClassVar[str] = "rights"

    trials: list[Argument]

    def read(self, reply: Reply) -> list[str]:
        return [name.decode() for name in reply]
