"""The calls of the scripts that add and read the items of streams."""

from typing import ClassVar

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded, Script
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.state import Items


class AppendCall(Script[bool], frozen=True, kw_only=True):
    """Add items to the stream of a running task. The reply is False if the lease is lost."""

    name: ClassVar[str] = "append"

    id: str
    token: int
    first: int
    most: int
    items: list[Argument]

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class ItemsCall(Bounded[Items | None], frozen=True, kw_only=True):
    """Read a part of a task's stream; None if there is no such task."""

    name: ClassVar[str] = "items"

    id: str
    attempt: int
    after: int
    limit: int

    def read(self, reply: Reply) -> Items | None:
        if reply == []:
            return None
        attempt, first, total, *items = replies.values(reply)
        return Items(attempt=int(attempt), first=int(first), items=tuple(items), total=int(total))
