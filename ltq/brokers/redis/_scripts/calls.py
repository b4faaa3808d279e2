"""The Lua scripts as typed calls: their fields are the arguments of the script's header, in order.

    swept = await link.evaluate(calls.SweepCall(prefix=prefix, limit=200))

If the last field is a list, each item is sent as an argument. `tests/brokers/test_scripts.py`
compares the fields with the headers. `lua/<script>.lua` explains each argument and reply.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal, NamedTuple

from ltq.broker.schedule_slots import SlotReceipt
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.claim import ClaimAnswer as ClaimAnswer
from ltq.brokers.redis._scripts.claim import ClaimCall as ClaimCall
from ltq.brokers.redis._scripts.claim import ClaimReply as ClaimReply
from ltq.brokers.redis._scripts.script import Bounded, Flag, RepeatedKnowingly, Script
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.message import DeadLetter, Published, Receipt, Swept
from ltq.state import QueueStats, TaskState


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

    def read(self, reply: Reply) -> CancelAnswer:
        return CancelAnswer(reply.decode())


class ClearCall(Script[int], frozen=True, kw_only=True):
    """Remove waiting tasks of a queue for good."""

    name: ClassVar[str] = "clear"

    queue: str
    limit: int

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class CopyCall(Script[int], frozen=True, kw_only=True):
    """Copy a ready list."""

    name: ClassVar[str] = "copy"

    member: str
    unique: str
    ttl: int

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class DeadLettersCall(Bounded[list[DeadLetter | None]], frozen=True, kw_only=True):
    """Read dead letters. The reply may hold only the first ones."""

    name: ClassVar[str] = "dead_letters"

    ids: list[str]

    def read(self, reply: Reply) -> list[DeadLetter | None]:
        ids = self.ids[: len(reply)]
        return [replies.dead_letter(name, values) for name, values in zip(ids, reply, strict=True)]


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


class FinishCall(Script[list[Receipt]], frozen=True, kw_only=True):
    """Record what became of deliveries."""

    name: ClassVar[str] = "finish"

    groups: list[Argument]

    def read(self, reply: Reply) -> list[Receipt]:
        return [replies.RECEIPTS[answer] for answer in reply]


class FireReply(NamedTuple):
    """What became of the slot of a schedule."""

    receipt: SlotReceipt
    new_lanes: int
    """How many of the lanes are new: nothing was sent to them before."""


class FireCall(Script[FireReply], frozen=True, kw_only=True):
    """Enqueue the task of one slot of a schedule, and keep the slot."""

    name: ClassVar[str] = "fire"

    schedule: str
    spec: str
    after: int | Literal[""]
    slot: int
    due: int
    group: list[Argument]

    def read(self, reply: Reply) -> FireReply:
        last, answer, new_lanes = reply
        published = None if answer in _NOT_FIRED else replies.PUBLISHED[answer]
        receipt = SlotReceipt(int(last), published, is_other=answer == b"other")
        return FireReply(receipt, new_lanes)


_NOT_FIRED = (b"", b"other", b"passed")


class HeartbeatCall(Script[list[int]], frozen=True, kw_only=True):
    """Renew leases. The reply holds the positions of those that are lost."""

    name: ClassVar[str] = "heartbeat"

    duration: float
    leases: list[Argument]

    def read(self, reply: Reply) -> list[int]:
        return replies.integers(reply)


class ProgressCall(Script[bool], frozen=True, kw_only=True):
    """Show how far a running task is. The reply is False if the lease is lost."""

    name: ClassVar[str] = "progress"

    id: str
    token: int
    progress: bytes

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class Purged(NamedTuple):
    """Dead letters that were removed."""

    removed: int
    may_be_more: bool


class PurgeCall(Script[Purged], frozen=True, kw_only=True):
    """Remove dead letters for good."""

    name: ClassVar[str] = "purge"

    queue: str
    older_than: float
    limit: int = 0
    ids: list[str]

    def read(self, reply: Reply) -> Purged:
        removed, more = replies.integers(reply)
        return Purged(removed, more == 1)


class Repaired(NamedTuple):
    """Tasks that had lost their place."""

    repaired: int
    """How many were put back."""
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


class ReplayCall(Script[list[Published]], frozen=True, kw_only=True):
    """Enqueue dead letters again."""

    name: ClassVar[str] = "replay"

    queue: str
    call: str
    ids: list[str]

    def read(self, reply: Reply) -> list[Published]:
        return [replies.PUBLISHED[answer] for answer in reply]


class RightsCall(Script[list[str]], frozen=True, kw_only=True):
    """Say which commands the user may not use."""

    name: ClassVar[str] = "rights"

    trials: list[Argument]

    def read(self, reply: Reply) -> list[str]:
        return [name.decode() for name in reply]


class SendReply(NamedTuple):
    """What became of tasks that were sent."""

    answers: list[Published]
    new_lanes: int
    """How many of their lanes are new: nothing was sent to them before."""


class SendCall(RepeatedKnowingly[SendReply], frozen=True, kw_only=True):
    """Enqueue tasks, each once by its id."""

    name: ClassVar[str] = "send"

    groups: list[Argument]

    def read(self, reply: Reply) -> SendReply:
        answers, new_lanes = reply
        return SendReply([replies.PUBLISHED[answer] for answer in answers], new_lanes)


class StatesCall(Bounded[list[TaskState[bytes] | None]], frozen=True, kw_only=True):
    """Read tasks without their bodies. The reply has None for an unknown or expired id.

    It may hold only the first ones.
    """

    name: ClassVar[str] = "states"

    ids: list[str]

    def read(self, reply: Reply) -> list[TaskState[bytes] | None]:
        ids = self.ids[: len(reply)]
        return [replies.task_state(name, values) for name, values in zip(ids, reply, strict=True)]


class StatsCall(Script[list[QueueStats]], frozen=True, kw_only=True):
    """Count the tasks of queues."""

    name: ClassVar[str] = "stats"

    overdue_after: float
    queues: list[str]

    def read(self, reply: Reply) -> list[QueueStats]:
        return [
            replies.queue_stats(name, values)
            for name, values in zip(self.queues, reply, strict=True)
        ]


class SweepCall(Script[Swept], frozen=True, kw_only=True):
    """Move due tasks, and take back those of dead workers."""

    name: ClassVar[str] = "sweep"

    limit: int
    grace: float = 0.0

    def read(self, reply: Reply) -> Swept:
        recovered, promoted, buried, lost = replies.integers(reply)
        return Swept(recovered, promoted, buried, lost)


SCRIPTS: Mapping[str, type[Script[Any]]] = {
    script.name: script
    for script in (
        CancelCall,
        ClaimCall,
        ClearCall,
        CopyCall,
        DeadLettersCall,
        ExamineCall,
        FinishCall,
        FireCall,
        HeartbeatCall,
        ProgressCall,
        PurgeCall,
        RepairCall,
        ReplayCall,
        RightsCall,
        SendCall,
        StatesCall,
        StatsCall,
        SweepCall,
    )
}
"""All calls, by the name of their script."""
