"""What is kept of workflows, and what arrives at a task that waits."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Failure, Finish
from ltq.state import HELD as HELD
from ltq.state import Status, TaskState

FLOW_KEY = "ltq.flow"
"""The key of a message's `ctx` that makes its task part of a workflow."""

OUTLINE_KEY = "ltq.nodes"
"""The key of a message's `ctx` that tells the nodes of a workflow: that of its last one has it. A
`ctx` with it is kept as long as the state of the task."""

FLOW_KEYS = (FLOW_KEY, OUTLINE_KEY)
"""What a `ctx` says of a workflow. Neither users nor middleware see it."""

_OUTLINE_MARK = f'"{OUTLINE_KEY}":'.encode()
_MARK = f'"{FLOW_KEY}":'.encode()

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

MAX_SLOTS = 100_001
"""Most slots of a task that waits."""

NOTE = -2
"""The slot of what is only noted. It counts for nothing, and no task waits for it."""

FAILED = b"!"
"""What a store keeps in the slot of something that failed. A value begins with `=`."""


def is_in_flow(ctx: bytes) -> bool:
    """Whether a task with this encoded `ctx` is part of a workflow."""
    return ctx != b"" and _MARK in ctx


def flow_in(ctx: bytes) -> dict[str, bytes]:
    """What a `ctx` says of a workflow: JSON by key; empty if its task is part of none.

    Raises `msgspec.DecodeError` for what is no `ctx`.
    """
    if not is_in_flow(ctx):
        return {}
    fields = _decode_fields(ctx)
    return {key: bytes(fields[key]) for key in FLOW_KEYS if key in fields}


def with_flow(ctx: bytes, flow: Mapping[str, bytes]) -> bytes:
    """A `ctx`, perhaps empty, that says this of a workflow: what `flow_in` has found."""
    own = b",".join(b'"%b":%b' % (key.encode(), value) for key, value in flow.items())
    return b"{%b}" % own if ctx in (b"", b"{}") else ctx[:-1] + b"," + own + b"}"


def has_outline(ctx: bytes) -> bool:
    """Whether this encoded `ctx` is kept when its task has ended."""
    return ctx != b"" and _OUTLINE_MARK in ctx


def is_held(due: float) -> bool:
    """Whether a delayed task waits for others, and not for its time."""
    return due >= HELD


def waits_for_others(state: TaskState[object]) -> bool:
    """Whether a task waits for others: then its body is no call yet."""
    return state.status is Status.DELAYED and state.due_time is None


def ending_key(task_id: str, token: int) -> str:
    """The key of an ending: the id of the task, and the token that it had."""
    return f"{task_id} {token}"


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended that is part of a workflow, or that something follows."""

    key: str
    """What removes it: see `ending_key`."""
    id: str
    queue: str
    status: Status
    ctx: bytes
    result: bytes = b""
    serializer: str = DEFAULT_SERIALIZER
    """What the result is encoded with, by its name."""
    body: bytes = b""
    """What a task had as its arguments that waited for others, and was cancelled."""
    follow: bytes = b""
    """What is sent because it completed: see `pack_follow`."""
    time: float = 0.0
    """When it ended, in Unix seconds by the broker's clock."""

    @classmethod
    def of(cls, outcome: Finish) -> "Ending":
        """What an outcome leaves that is written; a store adds only its `time`."""
        lease = outcome.lease
        return cls(
            key=ending_key(lease.id, lease.token),
            id=lease.id,
            queue=lease.queue,
            status=outcome.status,
            ctx=outcome.flow,
            result=outcome.result,
            serializer=outcome.serializer,
            follow=outcome.follow,
        )


class Arrival(msgspec.Struct, frozen=True):
    """Something arrives at a task that waits for it."""

    id: str
    slot: int
    """Where it belongs, below `of`."""
    of: int
    """How many slots the task has."""
    value: bytes = b""
    failed: bool = False
    """Whether it will not come. Then the task is CANCELLED."""
    revives: bool = False
    """Whether a CANCELLED task waits again, if this comes after all and nothing else failed."""
    ending: str = ""
    """The key of an ending in the same namespace that is removed in the same step, if the answer is
    WAITING: there is no more to do about it."""


class ArrivalCount(msgspec.Struct, frozen=True):
    """How many slots a task that waits has, and what is in them."""

    of: int
    values: int = 0
    failed: int = 0


class Arrived(StrEnum):
    """What a store answers to an arrival."""

    WAITING = "waiting"
    """It is in its slot. The task waits for more."""
    FULL = "full"
    """The task waits for nothing any more: it is to be released."""
    STOPPED = "stopped"
    """The task is CANCELLED, perhaps as something failed that it needs. What came is kept."""
    ENDED = "ended"
    """The task waits no longer, or never did."""


class WaitingTask(msgspec.Struct, frozen=True):
    """A task that waits for others, or that was CANCELLED meanwhile."""

    status: Status
    body: bytes
    ctx: bytes
    token: int
    serializer: str
    slots: dict[int, bytes]
    """What is in the slots that were asked for: `FAILED`, or `=` and the value."""
    count: ArrivalCount | None = None


class Ready(msgspec.Struct, frozen=True):
    """What becomes of a task that waits for nothing any more: one of these."""

    body: bytes | None = None
    """Its arguments: it is PENDING with them, as if it were sent now."""
    result: bytes | None = None
    """Its result: it is COMPLETED without a run."""
    failure: Failure | None = None
    """Why it is REJECTED without a run."""
