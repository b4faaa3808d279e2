"""The messages that were sent, and assertions about them."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from typing_extensions import ParamSpec

from ltq._declared import DeclaredTask
from ltq._display.values import short_repr
from ltq._sender.prepared import EncodedCall, PreparedMessage
from ltq.errors import DecodeError
from ltq.message import Envelope, Message
from ltq.options import Priority, SendConfig
from ltq.streams import StreamHandle
from ltq.task import Task
from ltq.testing.box import Box, box_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_MOST_CALLS = 20
"""Most calls that the text of a failed assertion shows: the latest ones."""

_USUAL = (None, 0.0, "normal", ())
"""Values of options that are not shown with what was sent."""


def sent(task: Task[P, R]) -> list[Message[R]]:
    """The messages of a task that were sent in the block, in order.

    Raises `ConfigurationError` for a task that is not under test.
    """
    return [_message(task, envelope) for envelope in _envelopes(task)]


def assert_sent(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> list[Message[R]]:
    """Fail unless such a call of the task was sent in the block; returns all such messages.

    An argument may be given by position or by name, and a default may be left out. Each option that
    is given counts: `assert_sent(pay.with_options(delay=60), 12)`. It is compared with what held
    for the send, whether the send or the task said so; `delay=0` is a send without delay and eta.
    Raises `InvalidArgumentsError` for arguments that could not have been sent, `ConfigurationError`
    for a task that is not under test.
    """
    __tracebackhide__ = True
    found = _find(task, args, kwargs)
    if not found:
        raise AssertionError(_text(task, args, kwargs, "was not sent"))
    return found


def assert_sent_once(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
    """Like `assert_sent`, but fail unless exactly one such call was sent; returns its message."""
    __tracebackhide__ = True
    found = _find(task, args, kwargs)
    if len(found) != 1:
        problem = f"was sent {len(found)} times" if found else "was not sent"
        raise AssertionError(_text(task, args, kwargs, problem))
    return found[0]


def assert_not_sent(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Fail if such a call was sent in the block. Raises what `assert_sent` raises.

    To check that no call of a task was sent: `assert not sent(task)`.
    """
    __tracebackhide__ = True
    if _find(task, args, kwargs):
        raise AssertionError(_text(task, args, kwargs, "was sent"))


async def assert_streamed(handle: StreamHandle[T], items: Iterable[T], /) -> None:
    """Fail unless these are the items that the task of a handle has yielded so far, in order.

    It does not wait: drain the box before. They are those of the last run. Raises
    `TaskNotFoundError`.
    """
    __tracebackhide__ = True
    wanted, found = list(items), await handle.present_items()
    if found != wanted:
        raise AssertionError(_streamed_text(handle, wanted, found))


def _streamed_text(handle: StreamHandle[Any], wanted: list[Any], found: list[Any]) -> str:
    """What is wrong with the items of a task."""
    pairs = zip(wanted, found, strict=False)
    same = next((i for i, (one, other) in enumerate(pairs) if one != other), None)
    at = min(len(wanted), len(found)) if same is None else same

    def shown(values: list[Any]) -> str:
        return short_repr(values[at]) if at < len(values) else "nothing"

    return (
        f"{handle.task_name} yielded {len(found)} items, {len(wanted)} were expected: "
        f"item {at} is {shown(found)}, not {shown(wanted)}"
    )


def _envelopes(task: Task[..., Any]) -> list[Envelope]:
    return [one for one in box_of(task).sent if one.task_name == task.name]


def _find(
    task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Message[Any]]:
    box_of(task)
    wanted = task.message(*args, **kwargs)
    codec = DeclaredTask.of(task).codec
    call = codec.fingerprint(codec.encode_call(args, kwargs))
    return [
        _message(task, envelope)
        for envelope in _envelopes(task)
        if codec.fingerprint(envelope.body) == call and _has(task, envelope, wanted.options)
    ]


def _has(task: Task[..., Any], envelope: Envelope, options: SendConfig) -> bool:
    """Whether those of the options that are given held for the send of the envelope."""
    wanted = msgspec.structs.asdict(options)
    tags = wanted.pop("tags") or ()
    return {*tags} <= {*envelope.tags} and all(
        value in (None, _held(task, envelope, name)) for name, value in wanted.items()
    )


def _held(task: Task[..., Any], envelope: Envelope, option: str) -> object:
    """The value of an option that held for the send of an envelope."""
    if option == "delay" and envelope.eta is not None:
        return None
    value = getattr(envelope, option)
    if value is not None:
        return value
    return task.result_ttl if option == "result_ttl" else getattr(task.config, option, None)


def _message(task: Task[..., R], envelope: Envelope) -> Message[R]:
    args, kwargs = DeclaredTask.of(task).codec.decode_call(envelope.body, envelope.serializer)
    return PreparedMessage(
        args,
        kwargs,
        envelope.task_name,
        json.loads(envelope.ctx) if envelope.ctx else {},
        envelope.id,
        SendConfig(
            id=None if envelope.has_new_id else envelope.id,
            delay=envelope.delay if envelope.eta is None else None,
            eta=envelope.eta,
            priority=envelope.priority,
            timeout=envelope.timeout,
            max_tries=envelope.max_tries,
            result_ttl=envelope.result_ttl,
            on_full=_unless(envelope.on_full, task.config.on_full),
            full_timeout=_unless(envelope.full_timeout, task.config.full_timeout),
            unique_for=envelope.unique_for or None,
            tags=tuple(tag for tag in envelope.tags if tag not in task.config.tags),
        ),
        tags=envelope.tags,
        encoded=EncodedCall(args, kwargs, envelope.body),
        task=task,
    )


def _unless(value: T, declared: T) -> T | None:
    """The value, unless the task declares the same."""
    return None if value == declared else value


def _text(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], problem: str) -> str:
    options = _options(task.message(*args, **kwargs).options, (None,))
    box = box_of(task)
    lines = [f"{task.name} {problem} with {_call(args, kwargs)}{options}"]
    if not box.sent:
        return f"{lines[0]}\nnothing was sent"
    lines.append("sent was:")
    if len(box.sent) > _MOST_CALLS:
        lines.append(f"  ... {len(box.sent) - _MOST_CALLS} earlier ones")
    lines += [f"  {_shown(box, envelope)}" for envelope in box.sent[-_MOST_CALLS:]]
    return "\n".join(lines)


def _shown(box: Box, envelope: Envelope) -> str:
    task = box.task(envelope.task_name)
    try:
        if task is None:
            raise DecodeError("not a task of the box")
        message = _message(task, envelope)
    except DecodeError:
        return f"{envelope.task_name} {envelope.body!r}"
    return f"{task.name}{_call(message.args, message.kwargs)}{_options(message.options)}"


def _call(args: tuple[Any, ...], kwargs: Any) -> str:
    named = [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"({', '.join([*map(repr, args), *named])})"


def _options(options: SendConfig, hidden: tuple[object, ...] = _USUAL) -> str:
    """The options except those with hidden values, each after a space."""
    named = msgspec.structs.asdict(options)
    if named["priority"] is not None:
        named["priority"] = Priority(named["priority"]).name.lower()
    return "".join(f" {name}={value}" for name, value in named.items() if value not in hidden)
