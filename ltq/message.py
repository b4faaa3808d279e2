"""The message that users and middleware see, and its forms on the way to and from a broker."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic

import msgspec
from msgspec.structs import force_setattr
from typing_extensions import TypeVar

from ltq._display.values import short_repr
from ltq._text import cut
from ltq.codec import DEFAULT_SERIALIZER, READ_BY_ALL
from ltq.names import is_name
from ltq.names import new_id as new_id
from ltq.options import (
    DEFAULT_FULL_TIMEOUT,
    DEFAULT_MAX_DELIVERIES,
    DEFAULT_RESULT_TTL,
    OnFull,
    Priority,
    SendConfig,
)
from ltq.state import Status

R_co = TypeVar("R_co", covariant=True, default=Any)


class Message(msgspec.Struct, Generic[R_co], frozen=True):
    """One call of a task: made by `task.message(...)`, sent later, passed to middleware.

    It is frozen, except for `ctx`: a dict of JSON values that middleware may write to, and that
    survives retries, shutdowns and replays.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    task_name: str
    ctx: dict[str, Any] = msgspec.field(default_factory=dict)
    id: str = msgspec.field(default_factory=new_id)
    options: SendConfig = SendConfig()
    """The options of this send. In a worker only `max_tries` and `result_ttl` are known."""
    tries: int = 0
    """How many runs have failed before this one."""
    enqueue_time: float | None = None
    """When it was sent, in Unix seconds by the broker's clock; None until it is claimed."""
    dequeue_time: float | None = None
    """When it was claimed, in Unix seconds by the broker's clock; None until then."""
    dequeue_count: int = 0
    """How often it has been claimed, this time included. More than once also if its worker died or
    stopped under it, which uses up no try; 0 until it is claimed."""
    tags: tuple[str, ...] = ()
    """Those that its task declares, and those of its send: `task.with_options(tags=...)`."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A task on its way to the broker. Durations are seconds, times Unix seconds.

    An option that is None is for the one who runs the task to decide.
    """

    id: str
    queue: str
    task_name: str
    body: bytes
    """The encoded arguments; the broker does not look inside."""
    serializer: str = DEFAULT_SERIALIZER
    """What the arguments are encoded with, by its name."""
    lane: str = ""
    """The part of the queue in which it waits; empty for the queue's own lane (see `lane_of`)."""
    priority: Priority = Priority.NORMAL
    delay: float = 0.0
    eta: float | None = None
    timeout: float | None = None
    max_tries: int | None = None
    result_ttl: float | None = None
    max_pending: int | None = None
    on_full: OnFull = "raise"
    """What its sender does about a full queue. The broker always answers at once."""
    full_timeout: float = DEFAULT_FULL_TIMEOUT
    """How long its sender waits for room, if it does."""
    max_deliveries: int | None = DEFAULT_MAX_DELIVERIES
    """After so many deaths in a row a sweep rejects the task. With None no sweep does: whoever
    claims it decides, by its `Delivery.deaths`."""
    fingerprint: str = ""
    """For `unique_for` seconds, tasks with the same fingerprint count as one."""
    unique_for: float = 0.0
    has_new_id: bool = False
    """Whether the id was made for this envelope, so that no earlier task can have it."""
    ctx: bytes = b""
    """JSON of the message's `ctx`, or empty."""
    tags: tuple[str, ...] = ()
    """Short texts to find it by: at most 16, each once. They stay with it until it is forgotten."""
    keep_body: bool | None = None
    """Whether its arguments are kept with its final state, so that it may run again. None: if it is
    FAILED or REJECTED."""
    max_items: int | None = None
    """Most items of its stream that are kept; None if the send did not say."""

    def keeps_body(self, status: Status) -> bool:
        """Whether its arguments are kept if it ends with this status."""
        if self.keep_body is not None:
            return self.keep_body
        return status.is_dead


_encode_json = msgspec.json.Encoder().encode

DEFAULT_MAX_ITEMS = 10_000
"""How many items of a stream are kept, if neither its task nor its send says."""

MAX_CTX = 64 * 1024
"""Most bytes of a message's `ctx`, which travels with every claim."""

_ctx_decoder = msgspec.json.Decoder(dict[str, Any])


def decode_ctx(data: bytes) -> dict[str, Any]:
    """Read a `ctx`. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`."""
    return _ctx_decoder.decode(data)


def encode_ctx(ctx: Mapping[Any, Any]) -> tuple[bytes, str]:
    """The bytes of a `ctx`, empty for an empty one, without what cannot travel; and what that is.

    It travels as JSON: what JSON does not know arrives as what it becomes there, a `datetime` or
    `bytes` as a text, NaN as None, a key as a text. Of more than `MAX_CTX` bytes the largest values
    cannot travel. The second value is a text that names each key that cannot, empty if all can.
    """
    try:
        data = _encode_json(ctx) if ctx else b""
    except Exception:  # whatever the code of a value raises
        return _encode_parts(ctx)
    return (data, "") if len(data) <= MAX_CTX else _encode_parts(ctx)


def _encode_parts(ctx: Mapping[Any, Any]) -> tuple[bytes, str]:
    kept: dict[Any, bytes] = {}
    wrong: list[str] = []
    for key, value in [*ctx.items()]:
        try:
            kept[key] = _encode_json({key: value})[1:-1]
        except Exception as error:
            wrong.append(f"ctx[{short_repr(key)}]: {type(error).__name__}: {error}")
    while sum(map(len, kept.values())) + len(kept) + 1 > MAX_CTX:
        largest = max(kept, key=lambda key: len(kept[key]))
        size = len(kept.pop(largest))
        wrong.append(
            f"ctx[{short_repr(largest)}] has {size} bytes: at most {MAX_CTX} are allowed in all"
        )
    return (b"{%b}" % b",".join(kept.values()) if kept else b""), "; ".join(wrong)


def lane_of(queue: str, task_name: str, *, limited: bool) -> str:
    """The lane that a task is sent to: the queue's, or its own.

    A limited task that shares a queue waits in a lane of its own, so that its limit does not hold
    up other tasks.
    """
    return own_lane(queue, task_name) if limited and queue != task_name else queue


def own_lane(queue: str, kind: str) -> str:
    """The lane of a queue in which only tasks of one kind wait."""
    return f"{queue}/{kind}"


def kind_of(task_name: str, serializer: str) -> str:
    """What a worker has to know to run a task: its name, and `/` and its serializer if not all
    workers read that.

    A serializer whose name is no valid name is left out.
    """
    if serializer in READ_BY_ALL or not is_name(serializer):
        return task_name
    return f"{task_name}/{serializer}"


class Published(StrEnum):
    """What the broker did with an envelope."""

    CREATED = "created"
    EXISTS = "exists"
    """Nothing was enqueued: the task with this id exists already."""
    ID_CONFLICT = "id_conflict"
    """Nothing was enqueued: a task of another name has this id."""
    DUPLICATE = "duplicate"
    """Nothing was enqueued: a task with this `fingerprint` was sent recently. See `first`."""
    FULL = "full"
    """Nothing was enqueued: `max_pending` tasks wait in the queue."""
    GONE = "gone"
    """Answer to a replay: there is no longer a dead letter with this id."""
    EMPTY = "empty"
    """Answer to a replay: the dead letter has no body, so it cannot be enqueued."""


class Lease(msgspec.Struct, frozen=True, cache_hash=True):
    """The right to finish one delivery.

    It holds until the task ends, is requeued or cancelled, or until a sweep takes the task back
    because the lease has ended. As long as nobody sweeps, it can be renewed and used after its end.
    """

    id: str
    queue: str
    token: int
    """A number that grows with every claim of the task."""


class Delivery(msgspec.Struct, frozen=True):
    """A task that was claimed from the broker."""

    lease: Lease
    task_name: str
    body: bytes
    ctx: bytes
    tries: int
    dequeue_count: int
    deaths: int
    """How many workers died while they held it, since a run of it last ended by itself."""
    enqueue_time: float
    dequeue_time: float
    timeout: float | None
    max_tries: int | None
    result_ttl: float | None
    isolation: int | None = None
    """Most tasks that its worker should run at once, this one included; None for no limit."""
    max_deliveries: int | None = None
    serializer: str = DEFAULT_SERIALIZER
    """What the arguments are encoded with, by its name."""
    tags: tuple[str, ...] = ()
    max_items: int | None = None


class Failure(msgspec.Struct, frozen=True):
    """An error as data: never pickled.

    Of each text beyond 16 KiB the middle is cut out. Lone surrogates become escapes.
    """

    type: str
    """Class name of the error; empty for a reason that is not an error."""
    text: str
    """The text of `TaskState.error`."""
    traceback: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "type", cut(self.type))
        force_setattr(self, "text", cut(self.text))
        if self.traceback is not None:
            force_setattr(self, "traceback", cut(self.traceback))


ELEMENT = -3
"""Stands for the slot of an element of a map: the number behind the last dot of its id."""


def slot_of(slot: int, task_id: str) -> int:
    """The slot for the result of a task. Raises `ValueError` if it should be an element's id."""
    return int(task_id.rpartition(".")[2]) if slot == ELEMENT else slot


class Waiter(msgspec.Struct, frozen=True):
    """A task that waits for a result, among others."""

    id: str
    slot: int
    """Where the result belongs, or `ELEMENT`."""
    of: int
    """How many slots the task has."""


class Finish(msgspec.Struct, frozen=True):
    """The outcome of a delivery after which the task is final."""

    lease: Lease
    status: Status
    result: bytes = b""
    failure: Failure | None = None
    result_ttl: float = DEFAULT_RESULT_TTL
    dead: bool = False
    """Whether to keep the task among the dead letters of its queue."""
    serializer: str = DEFAULT_SERIALIZER
    """What the result is encoded with, by its name."""
    ctx: bytes | None = None
    """The message's `ctx` for the dead letter; None keeps the present one."""
    is_poison: bool = False
    """Whether the task is rejected for its deaths: its dead letter keeps their count."""
    flow: bytes = b""
    """The `ctx` of a task of a workflow, for the one who carries that on. Stores have their own."""
    follow: bytes = b""
    """What is sent because the run completed, as `ltq.broker.flows.pack_follow` makes it, or empty.
    A store that gets it keeps an ending of the task, with it."""
    waiter: Waiter | None = None
    """What waits for the result of a completed run, if it is one task of the same namespace, and
    nothing else follows. See `Receipt.ARRIVED`."""


class Requeue(msgspec.Struct, frozen=True):
    """The outcome of a delivery after which the task runs again."""

    lease: Lease
    delay: float = 0.0
    failed: bool = False
    """Whether this run uses up a try."""
    front: bool = False
    """Whether it goes before the waiting tasks instead of behind them. Only without a delay. Tasks
    that went there stay in the order in which they were claimed."""
    ctx: bytes | None = None
    """The message's new `ctx`; None keeps the present one."""
    timeout: float | None = None
    """A new timeout in seconds; None keeps the present one."""
    failure: Failure | None = None
    is_void: bool = False
    """Whether the run counts for nothing, as it did not end by itself: the deaths of the task stay,
    and so does the error of an earlier run if this outcome has none."""


Outcome = Finish | Requeue


class Receipt(StrEnum):
    """The broker's answer to an outcome."""

    OK = "ok"
    """It is recorded, by this call, or by an earlier one with the same outcome: a `Finish` with
    this status, or a `Requeue`. So a call whose reply was lost may be repeated."""
    ARRIVED = "arrived"
    """It is recorded by this call, and in the same step the result has arrived at its `waiter`,
    which waits for more. There is no ending to carry on. A store may answer `OK` instead, and keep
    one."""
    STALE = "stale"
    """Nothing was changed: the lease was lost, and another worker has or had the task; or another
    outcome was recorded for it."""
    CANCELLED = "cancelled"
    """Nothing was changed: the task has been cancelled."""
    GONE = "gone"
    """Nothing was changed: the task no longer exists."""

    @property
    def is_recorded(self) -> bool:
        """Whether the outcome is recorded."""
        return self in (Receipt.OK, Receipt.ARRIVED)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A task that failed or was rejected, kept to be inspected and to be enqueued again.

    Times are Unix seconds by the broker's clock.
    """

    id: str
    task_name: str
    queue: str
    status: Status
    """FAILED or REJECTED."""
    body: bytes | None
    """The encoded arguments; None if the stored task was damaged. Such a dead letter cannot be
    replayed."""
    serializer: str = DEFAULT_SERIALIZER
    """What the arguments are encoded with, by its name."""
    error: str | None = None
    """`"ValueError: text"` of the last run, or the reason of a rejection."""
    error_type: str | None = None
    traceback: str | None = None
    time: float
    """When it died."""
    enqueue_time: float | None = None
    tries: int = 0
    """How many runs failed, the last one included."""
    dequeue_count: int = 0
    requeue_count: int = 0
    deaths: int = 0
    """How many workers died while they held it, since a run of it last ended by itself."""
    worker: str | None = None
    """The last worker that held it."""
    tags: tuple[str, ...] = ()


class Swept(msgspec.Struct, frozen=True):
    """What one sweep did, in numbers of tasks."""

    recovered: int = 0
    """Tasks of dead workers that are pending again."""
    promoted: int = 0
    """Delayed tasks that became due and are pending now."""
    buried: int = 0
    """Tasks that became dead letters because they killed too many workers."""
    lost: int = 0
    """Ids without a task, after an eviction or a partial restore. Each has a dead letter."""
