"""The call of the script `history`, and its reply."""

from typing import ClassVar, Literal, NamedTuple

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Script
from ltq.brokers.redis._server.call import Reply


class HistoryReply(NamedTuple):
    """What was counted in some minutes."""

    last: int
    """The number of the last minute."""
    figures: list[dict[str, int]]
    """Of each minute, the last one last."""


class HistoryCall(Script[HistoryReply], frozen=True, kw_only=True):
    """Read what was counted in the last minutes of a queue."""

    name: ClassVar[str] = "history"

    queue: str
    last: int | Literal[""]
    count: int

    def read(self, reply: Reply) -> HistoryReply:
        last, found = reply
        return HistoryReply(replies.integer(last), [replies.figures(flat) for flat in found])
