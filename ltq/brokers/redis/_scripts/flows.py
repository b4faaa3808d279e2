"""The calls of the scripts about workflows."""

from contextlib import suppress
from typing import ClassVar

from ltq.broker.flows import ArrivalCount, Arrived, Ending, WaitingTask
from ltq.broker.flows.packed import unpack_ending
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded, Flag, Script
from ltq.brokers.redis._scripts.texts import ALL_NOTES
from ltq.brokers.redis._server.call import Argument, Reply
from ltq.codec import DEFAULT_SERIALIZER
from ltq.state import Status


class ArriveCall(Script[list[Arrived]], frozen=True, kw_only=True):
    """Put values in the slots of tasks that wait for others."""

    name: ClassVar[str] = "arrive"

    result_ttl: float
    notes: str = ALL_NOTES
    arrivals: list[Argument]

    def read(self, reply: Reply) -> list[Arrived]:
        return [Arrived(answer.decode()) for answer in reply]


class CancelEachCall(Script[int], frozen=True, kw_only=True):
    """Make tasks final as cancelled."""

    name: ClassVar[str] = "cancel_each"

    result_ttl: float
    notes: str = ALL_NOTES
    ids: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class CarriedCall(Script[int], frozen=True, kw_only=True):
    """Remove endings."""

    name: ClassVar[str] = "carried"

    keys: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class EndingsCall(Bounded[list[Ending]], frozen=True, kw_only=True):
    """Read endings. The reply may hold only some."""

    name: ClassVar[str] = "endings"

    older_than: float
    limit: int

    def read(self, reply: Reply) -> list[Ending]:
        endings: list[Ending] = []
        for value in reply:
            with suppress(ValueError):  # it is spoilt, and is left to people
                endings.append(unpack_ending(value))
        return endings


class GoOnCall(Script[bool], frozen=True, kw_only=True):
    """Let a task go on that has waited for others."""

    name: ClassVar[str] = "go_on"

    id: str
    status: str
    body: bytes
    result_ttl: float
    notes: str = ALL_NOTES
    fields: list[Argument]

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class HeldCall(Script[WaitingTask | None], frozen=True, kw_only=True):
    """Read a task that waits for others."""

    name: ClassVar[str] = "held"

    id: str
    slots: list[int]

    def read(self, reply: Reply) -> WaitingTask | None:
        if reply == []:
            return None
        status, body, ctx, token, serializer, of, values, failed, *slots = reply
        found = zip(self.slots, slots, strict=True)
        return WaitingTask(
            Status(status.decode()),
            body,
            ctx or b"",
            int(token or 0),
            (serializer or DEFAULT_SERIALIZER.encode()).decode(),
            {slot: value for slot, value in found if value is not None},
            None if of is None else ArrivalCount(int(of), int(values or 0), int(failed or 0)),
        )


class RestartCall(Script[int], frozen=True, kw_only=True):
    """Send cancelled tasks again."""

    name: ClassVar[str] = "restart"

    is_held: Flag
    ids: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)
