"""The calls of the scripts that cancel tasks."""

from enum import StrEnum
from typing import ClassVar, NamedTuple

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import RepeatedKnowingly
from ltq.brokers.redis._scripts.texts import ALL_NOTES
from ltq.brokers.redis._server.call import Reply


class CancelAnswer(StrEnum):
    """What became of a task that should be cancelled."""

    CANCELLED = "cancelled"
    FINAL = "final"
    """It had a final state already."""
    GONE = "gone"


class CancelCall(RepeatedKnowingly[CancelAnswer], frozen=True, kw_only=True):
    """Make a task final as cancelled."""

    name: ClassVar[str] = "cancel"

    id: str
    result_ttl: float
    notes: str = ALL_NOTES

    def read(self, reply: Reply) -> CancelAnswer:
        return CancelAnswer(reply.decode())


class CancelledStep(NamedTuple):
    """What one step of a call that cancels many tasks did."""

    cancelled: int
    looked: int
    """How many tasks it looked at."""
    left: int
    """How many tasks are not in that place any more."""


class CancelManyCall(RepeatedKnowingly[CancelledStep], frozen=True, kw_only=True):
    """Cancel some tasks of a queue."""

    name: ClassVar[str] = "cancel_many"

    call: str
    step: int
    queue: str
    status: str
    member: str
    offset: int
    limit: int
    task_name: str
    tag: str
    before: str
    result_ttl: float
    notes: str

    def read(self, reply: Reply) -> CancelledStep:
        return CancelledStep(*replies.integers(reply))
