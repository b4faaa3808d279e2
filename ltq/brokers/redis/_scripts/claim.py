"""The call of the script `claim`, and its reply."""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Self

import msgspec
from msgspec.structs import replace

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.redis._scripts.deliveries import deliveries
from ltq.brokers.redis._scripts.script import Flag, RepeatedKnowingly
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.brokers.redis._server.reply_limit import SHRINK
from ltq.message import Delivery


class ClaimAnswer(StrEnum):
    """How a claim went."""

    CLAIMED = "claimed"
    REPEATED = "repeated"
    """The tasks are those of an earlier call, whose reply was lost."""
    PART = "part"
    """The same, but more of them are left: repeat the call, with `known`."""
    DUE = "due"
    """No task was given: due tasks have to be moved first."""


class ClaimReply(msgspec.Struct, frozen=True):
    """What a claim gave."""

    answer: ClaimAnswer
    deliveries: list[Delivery]
    lost: int
    """How many ids had no usable hash. Each has a dead letter now."""
    due_in: float | None
    """Seconds until another claim may give more without a wake-up; None if that is unknown."""
    start_in: float | None
    """Seconds until a limit lets a ready task start."""
    isolation: int | None
    """The isolation that a refused task needs."""
    known: int
    """After a PART: how many tasks of the earlier call need not be given again."""
    is_cut: bool
    """Whether tasks of a woken lane were left, for which another consumer was woken."""
    moment: float
    """When the tasks were claimed, by the server's clock."""
    moved: Sequence[str]
    """The lanes to which tasks were moved that the consumer does not run from where they waited."""

    @property
    def is_more_due(self) -> bool:
        """Whether another claim may give more now, once what is due has been moved."""
        return self.due_in == 0


class ClaimCall(RepeatedKnowingly[ClaimReply], frozen=True, kw_only=True):
    """Lease tasks that are ready."""

    name: ClassVar[str] = "claim"

    claim_id: str
    consumer: str
    lease: float
    limit: int
    most_bytes: int = CALL_BYTES
    known: int = 0
    running: int
    ignore_isolation: Flag = ""
    grace: float = 0.0
    hold: float = 0.0
    lanes: str
    knows: str = ""
    served: str = ""
    woken: str = ""
    swept: Flag = ""
    patience: str = ""
    history: Flag = "1"
    limits: list[Argument]

    def repeated(self) -> Self:
        return replace(self, again="1", most_bytes=self.most_bytes // SHRINK)

    def read(self, reply: Reply) -> ClaimReply:
        answer, lost, now, due_in, start_in, isolation, known, moved = reply[:_HEAD]
        moment, told = float(now), _CLAIM_ANSWERS[answer]
        is_part = told is ClaimAnswer.PART
        return ClaimReply(
            told,
            deliveries(reply, _HEAD, moment),
            lost,
            None if due_in is None else max(0.0, float(due_in)),
            None if start_in is None else float(start_in),
            isolation,
            known if is_part else 0,
            known == 1 and not is_part,
            moment,
            [lane.decode("utf-8", "replace") for lane in moved or ()],
        )


_HEAD = 8
"""So many values come before the tasks."""

_CLAIM_ANSWERS = {answer.value.encode(): answer for answer in ClaimAnswer}
