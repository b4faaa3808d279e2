"""The Lua scripts as typed calls: their fields are the arguments of the script's header, in order.

    swept = await link.evaluate(calls.SweepCall(prefix=prefix, limit=200))

If the last field is a list, each item is sent as an argument. `tests/brokers/test_scripts.py`
compares the fields with the headers. `lua/<script>.lua` explains each argument and reply.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from ltq.broker.schedule_slots import SlotReceipt
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.cancel import CancelAnswer as CancelAnswer
from ltq.brokers.redis._scripts.cancel import CancelCall as CancelCall
from ltq.brokers.redis._scripts.cancel import CancelManyCall as CancelManyCall
from ltq.brokers.redis._scripts.claim import ClaimAnswer as ClaimAnswer
from ltq.brokers.redis._scripts.claim import ClaimCall as ClaimCall
from ltq.brokers.redis._scripts.claim import ClaimReply as ClaimReply
from ltq.brokers.redis._scripts.flows import ArriveCall as ArriveCall
from ltq.brokers.redis._scripts.flows import CancelEachCall as CancelEachCall
from ltq.brokers.redis._scripts.flows import CarriedCall as CarriedCall
from ltq.brokers.redis._scripts.flows import EndingsCall as EndingsCall
from ltq.brokers.redis._scripts.flows import GoOnCall as GoOnCall
from ltq.brokers.redis._scripts.flows import HeldCall as HeldCall
from ltq.brokers.redis._scripts.flows import RestartCall as RestartCall
from ltq.brokers.redis._scripts.history import HistoryCall as HistoryCall
from ltq.brokers.redis._scripts.listing import TasksCall as TasksCall
from ltq.brokers.redis._scripts.moving import AdoptCall as AdoptCall
from ltq.brokers.redis._scripts.moving import AdoptDeadCall as AdoptDeadCall
from ltq.brokers.redis._scripts.moving import DropCall as DropCall
from ltq.brokers.redis._scripts.moving import PackCall as PackCall
from ltq.brokers.redis._scripts.registry import AnnounceCall as AnnounceCall
from ltq.brokers.redis._scripts.registry import HoldersCall as HoldersCall
from ltq.brokers.redis._scripts.registry import LeaveCall as LeaveCall
from ltq.brokers.redis._scripts.registry import WorkersCall as WorkersCall
from ltq.brokers.redis._scripts.schedules import AdoptScheduleCall as AdoptScheduleCall
from ltq.brokers.redis._scripts.schedules import ChangedSchedulesCall as ChangedSchedulesCall
from ltq.brokers.redis._scripts.schedules import PauseScheduleCall as PauseScheduleCall
from ltq.brokers.redis._scripts.schedules import PutScheduleCall as PutScheduleCall
from ltq.brokers.redis._scripts.schedules import RemoveScheduleCall as RemoveScheduleCall
from ltq.brokers.redis._scripts.schedules import SchedulesCall as SchedulesCall
from ltq.brokers.redis._scripts.script import Bounded, Flag, RepeatedKnowingly, Script
from ltq.brokers.redis._scripts.steering import PauseCall as PauseCall
from ltq.brokers.redis._scripts.steering import PromoteCall as PromoteCall
from ltq.brokers.redis._scripts.steering import RerunCall as RerunCall
from ltq.brokers.redis._scripts.steering import ResumeCall as ResumeCall
from ltq.brokers.redis._scripts.streams import AppendCall as AppendCall
from ltq.brokers.redis._scripts.streams import ItemsCall as ItemsCall
from ltq.brokers.redis._scripts.texts import ALL_NOTES
from ltq.brokers.redis._scripts.upkeep import ExamineCall as ExamineCall
from ltq.brokers.redis._scripts.upkeep import KeySeen as KeySeen
from ltq.brokers.redis._scripts.upkeep import RepairCall as RepairCall
from ltq.brokers.redis._scripts.upkeep import RightsCall as RightsCall
from ltq.brokers.redis._server.call import Argument, Call, Reply, pack
from ltq.message import DeadLetter, Published, Receipt, Swept
from ltq.state import QueueStats, TaskState


class Removed(NamedTuple):
    """Tasks or dead letters that were removed."""

    removed: int
    may_be_more: bool


class ClearCall(Script[Removed], frozen=True, kw_only=True):
    """Remove waiting tasks of a queue for good."""

    name: ClassVar[str] = "clear"

    queue: str
    limit: int

    def read(self, reply: Reply) -> Removed:
        removed, more = replies.integers(reply)
        return Removed(removed, more == 1)


class Copied(NamedTuple):
    """A copy of a ready list."""

    entries: int
    has_skips: bool
    """Whether entries are to be skipped."""


class CopyCall(Script[Copied], frozen=True, kw_only=True):
    """Copy a ready list."""

    name: ClassVar[str] = "copy"

    member: str
    unique: str
    ttl: int

    def read(self, reply: Reply) -> Copied:
        entries, has_skips = replies.integers(reply)
        return Copied(entries, has_skips == 1)


class DeadLettersCall(Bounded[list[DeadLetter | None]], frozen=True, kw_only=True):
    """Read dead letters. The reply may hold only the first ones."""

    name: ClassVar[str] = "dead_letters"

    ids: list[str]

    def read(self, reply: Reply) -> list[DeadLetter | None]:
        ids = self.ids[: len(reply)]
        return [replies.dead_letter(name, values) for name, values in zip(ids, reply, strict=True)]


class FinishCall(Script[list[Receipt]], frozen=True, kw_only=True):
    """Record what became of deliveries. The reply is empty if all receipts are OK.

    If it has one receipt, that is the one of all outcomes.
    """

    name: ClassVar[str] = "finish"

    notes: str = ALL_NOTES
    told: str = ""
    groups: list[Argument]

    def read(self, reply: Reply) -> list[Receipt]:
        return [replies.RECEIPTS[answer] for answer in reply]


class FireReply(NamedTuple):
    """What became of slots of schedules."""

    receipts: list[SlotReceipt]
    new_queues: int
    """How many of the queues are new: nothing was sent to them before."""


class FireCall(Script[FireReply], frozen=True, kw_only=True):
    """Enqueue the tasks of slots of schedules, and keep the slots."""

    name: ClassVar[str] = "fire"

    slots: list[Argument]

    def read(self, reply: Reply) -> FireReply:
        answers, new_queues = reply
        return FireReply([replies.slot_receipt(*answer) for answer in answers], new_queues)


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


class PurgeCall(Script[Removed], frozen=True, kw_only=True):
    """Remove dead letters for good."""

    name: ClassVar[str] = "purge"

    queue: str
    older_than: float
    limit: int = 0
    ids: list[str]

    def read(self, reply: Reply) -> Removed:
        removed, more = replies.integers(reply)
        return Removed(removed, more == 1)


class ReplayCall(Script[list[Published]], frozen=True, kw_only=True):
    """Enqueue dead letters again."""

    name: ClassVar[str] = "replay"

    queue: str
    call: str
    ids: list[str]

    def read(self, reply: Reply) -> list[Published]:
        return [replies.PUBLISHED[answer] for answer in reply]


class SendReply(NamedTuple):
    """What became of tasks that were sent."""

    answers: list[Published]
    new_queues: int
    """How many of their queues are new: nothing was sent to them before."""


class SendCall(RepeatedKnowingly[SendReply], frozen=True, kw_only=True):
    """Enqueue tasks, each once by its id."""

    name: ClassVar[str] = "send"

    groups: list[Argument]

    def read(self, reply: Reply) -> SendReply:
        new_queues, *answers = reply
        return SendReply(replies.published(answers), replies.integer(new_queues))


class ServeCall(Script[int], frozen=True, kw_only=True):
    """Say that a live consumer serves lanes."""

    name: ClassVar[str] = "serve"

    duration: float
    lanes: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class ServedCall(Script[list[float | None]], frozen=True, kw_only=True):
    """Say for how many seconds lanes have not been served; None if that is not known."""

    name: ClassVar[str] = "served"

    lanes: list[str]

    def read(self, reply: Reply) -> list[float | None]:
        ages = zip(self.lanes, reply, strict=True)
        return [float(age.decode()) if age else None for _, age in ages]


class StatesCall(Bounded[list[TaskState[bytes] | None]], frozen=True, kw_only=True):
    """Read tasks without their bodies. The reply has None for an unknown or expired id.

    It may hold only the first ones.
    """

    name: ClassVar[str] = "states"

    ids: list[str]

    def read(self, reply: Reply) -> list[TaskState[bytes] | None]:
        ids = self.ids[: len(reply)]
        return [replies.task_state(name, values) for name, values in zip(ids, reply, strict=True)]


class StateCall(Call[TaskState[bytes] | None], frozen=True, kw_only=True):
    """Read one task without its body; None for an unknown id. It does not tell when it is due.

    It is a plain command, which costs the server half as much as the script.
    """

    key: str
    task_id: str

    @property
    def title(self) -> str:
        return "HMGET"

    def words(self) -> tuple[Argument, ...]:
        return "HMGET", self.key, *replies.STATE_FIELDS

    def packed(self) -> bytes:
        # Each awaited task is read once. To pack the fields again takes 20 times as long.
        key = self.key.encode()
        return b"%b$%d\r\n%b%b" % (_STATE_COMMAND[0], len(key), key, _STATE_COMMAND[1])

    def read(self, reply: Reply) -> TaskState[bytes] | None:
        return replies.state_of_fields(self.task_id, reply)


_STATE_COMMAND = pack(("HMGET", "", *replies.STATE_FIELDS)).split(b"$0\r\n", 1)
"""What stands before its key, and what behind it."""


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
    notes: str = ALL_NOTES

    def read(self, reply: Reply) -> Swept:
        recovered, promoted, buried, lost = replies.integers(reply)
        return Swept(recovered, promoted, buried, lost)


class UnclaimCall(Script[int], frozen=True, kw_only=True):
    """Give back claimed tasks that nobody has begun."""

    name: ClassVar[str] = "unclaim"

    consumer: str
    claim_id: str
    known: int
    history: Flag = "1"
    leases: list[Argument]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


SCRIPTS: Mapping[str, type[Script[Any]]] = {
    script.name: script
    for script in (
        AdoptCall,
        AdoptDeadCall,
        AdoptScheduleCall,
        AnnounceCall,
        AppendCall,
        ArriveCall,
        CancelCall,
        CancelEachCall,
        CancelManyCall,
        CarriedCall,
        ChangedSchedulesCall,
        ClaimCall,
        ClearCall,
        CopyCall,
        DeadLettersCall,
        DropCall,
        EndingsCall,
        ExamineCall,
        FinishCall,
        FireCall,
        GoOnCall,
        HeartbeatCall,
        HeldCall,
        HistoryCall,
        HoldersCall,
        ItemsCall,
        LeaveCall,
        PackCall,
        PauseCall,
        PauseScheduleCall,
        ProgressCall,
        PromoteCall,
        PurgeCall,
        PutScheduleCall,
        RemoveScheduleCall,
        RepairCall,
        ReplayCall,
        RerunCall,
        RestartCall,
        ResumeCall,
        RightsCall,
        SchedulesCall,
        SendCall,
        ServeCall,
        ServedCall,
        StatesCall,
        StatsCall,
        SweepCall,
        TasksCall,
        UnclaimCall,
        WorkersCall,
    )
}
"""All calls, by the name of their script."""
