"""Messages of other languages: JSON, as `schema.json` describes it."""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ltq._display.values import short_repr
from ltq.message import Envelope, own_lane
from ltq.names import is_name, namespace_of, new_id
from ltq.options import MAX_SECONDS, Priority

_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a task, as others write it."""

    task: _Name
    """The task's name, `worker:function`."""
    args: list[msgspec.Raw] = []
    """Its positional arguments."""
    kwargs: dict[str, msgspec.Raw] = {}
    """Its arguments by name."""
    id: _Name | None = None
    """What it is known by. A second message with an id that is known is dropped."""
    queue: _Name | None = None
    """LTQ's queue, if the task declares one that is not its name and several would do."""
    delay: Annotated[float, Meta(ge=0, le=MAX_SECONDS)] = 0.0
    """Seconds until it is due."""
    priority: Literal["high", "normal", "low"] = "normal"


_decoder = msgspec.json.Decoder(Call)
_encode = msgspec.json.Encoder().encode


def read(body: bytes, message_id: str | None) -> Call:
    """Read a message; the property `message_id` stands in for a missing id.

    Raises `ValueError`, also for what is nested too deeply.
    """
    try:
        call = _decoder.decode(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if call.id is not None or not message_id:
        return call
    if not is_name(message_id):
        raise ValueError(
            f"the property message_id {short_repr(message_id)} can be no id: it takes 1 to 200 of "
            "the characters A-Z a-z 0-9 _ . : -"
        )
    return replace(call, id=message_id)


def envelope_of(call: Call, queue: str) -> Envelope:
    """What is sent for a call to one of LTQ's queues."""
    return Envelope(
        id=call.id or new_id(),
        queue=queue,
        task_name=call.task,
        body=_encode((call.args, call.kwargs)),
        priority=Priority[call.priority.upper()],
        delay=call.delay,
        max_deliveries=None,
        has_new_id=call.id is None,
    )


def queues_for(call: Call, known: Iterable[str]) -> dict[str, str]:
    """The queues that a call may be for, by the lane that shows that a worker serves it there.

    The likeliest comes first. `known` are the queues that there are.
    """
    if call.queue is not None:
        return {own_lane(call.queue, call.task): call.queue, call.queue: call.queue}
    namespace = namespace_of(call.task)
    shared = [one for one in known if namespace_of(one) == namespace]
    return {call.task: call.task, **{own_lane(one, call.task): one for one in shared}}


Knows = Callable[[str], bool]
"""Whether a consumer here serves a lane."""
