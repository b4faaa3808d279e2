"""The calls of the scripts that add and read the items of streams."""

from typing import ClassVar

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded, Script
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.state import Items


class AppendCall(Script[list[bool]], frozen=True, kw_only=True):
    """Add items to the streams of running tasks. The reply has False for each lost lease."""

    name: ClassVar[str] = "append"

    streams: list[Argument]

    def read(self, reply: Reply) -> list[bool]:
        return [answer == 1 for answer in replies.integers(reply)]


class ItemsCall(Bounded[list[Items | None]], frozen=True, kw_only=True):
    """Read a part of each of some tasks' streams. The reply has None where there is no such task.

    It may hold only the first ones.
    """

    name: ClassVar[str] = "items"

    parts: list[Argument]

    def read(self, reply: Reply) -> list[Items | None]:
        return [_items(values) for values in reply]


def _items(values: Reply) -> Items | None:
    if values == []:
        return None
    attempt, first, total, *items = replies.values(values)
    return Items(attempt=int(attempt), first=int(first), items=tuple(items), total=int(total))
