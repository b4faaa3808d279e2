"""Arguments, results and notes as they are shown: decoded, redacted, cut."""

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from ltq._codec.codec import split_item
from ltq._declared import DeclaredTask
from ltq._display.encoded import Encoded, as_json, cut
from ltq._display.errors import name_of
from ltq.errors import LtqError
from ltq.logger import ThrottledLogger, get_logger
from ltq.state import TaskState
from ltq.web.access import Redact

_LONGEST = 20_000
"""Most characters of a value that a page shows."""

_LONGEST_LINE = 160

_throttled = ThrottledLogger(get_logger("web"), every=60.0)


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a task as plain data."""

    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a page shows it."""

    text: str
    is_redacted: bool = False
    """Whether `redact` has changed it, or nothing of it may be shown."""
    call: Call | None = None
    """What it is, if it is a call that can be read, and nothing was redacted."""


class Viewer:
    """Shows the values of tasks, with what `redact` leaves of them."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact

    def call(
        self, task_name: str, body: Encoded, task: DeclaredTask[..., Any] | None = None
    ) -> Shown:
        """The arguments of a task, on several lines."""
        return self._shown(task_name, _read_call(body, task), body, "\n")

    def line(self, task_name: str, body: Encoded) -> str:
        """The arguments of a task on one line: `"a", depth=2`."""
        return cut(self.whole_line(task_name, body), _LONGEST_LINE)

    def whole_line(self, task_name: str, body: Encoded) -> str:
        """The same, however long the line is."""
        return self._shown(task_name, _read_call(body, None), body, ", ").text

    def result(
        self, task_name: str, data: Encoded, task: DeclaredTask[..., Any] | None = None
    ) -> Shown:
        """A result."""
        found, value = _read_result(data, task)
        if not found:
            return self._unread(data)
        return self._redacted(task_name, value, _pretty)

    def result_line(self, task_name: str, data: Encoded) -> str:
        """A result on one line."""
        found, value = _read_result(data, None)
        shown = self._redacted(task_name, value, _one_line) if found else self._unread(data)
        return cut(shown.text, _LONGEST_LINE)

    def item_line(self, task_name: str, item: bytes) -> str:
        """An item of a stream on one line."""
        serializer, data = split_item(item)
        return self.result_line(task_name, Encoded(data, serializer))

    def note(self, state: TaskState[bytes]) -> str:
        """The note of a task's progress; empty without one."""
        if state.progress is None or not state.progress.note:
            return ""
        return self._redacted(state.task_name, state.progress.note, str).text

    def _shown(self, task_name: str, call: Call | None, body: Encoded, separator: str) -> Shown:
        if call is None:
            return self._unread(body)

        def text(value: Any) -> str:
            return _call_text(value, separator)

        plain = {"args": call.args, "kwargs": call.kwargs}
        shown = self._redacted(task_name, plain, text)
        return shown if shown.is_redacted else Shown(shown.text, call=call)

    def _redacted(self, task_name: str, value: Any, text: Any) -> Shown:
        if self._redact is None:
            return Shown(cut(text(value), _LONGEST))
        try:
            left = self._redact(task_name, copy.deepcopy(value))  # it may change it in place
            return Shown(cut(text(left), _LONGEST), is_redacted=left != value)
        except Exception as error:  # the user's code: what it would hide must not be seen
            _throttled.warning("redact failed for a value of %s: %s", task_name, name_of(error))
            return Shown(f"not shown: redact raised {name_of(error)}", is_redacted=True)

    def _unread(self, data: Encoded) -> Shown:
        size = f"{len(data.data)} bytes of serializer {data.serializer}"
        if self._redact is not None:
            return Shown(f"{size}: not shown, as redact cannot look into it", is_redacted=True)
        return Shown(f"{size}: {cut(repr(data.data), _LONGEST)}")


def _read_call(body: Encoded, task: DeclaredTask[..., Any] | None) -> Call | None:
    """The arguments in a body; None for what is no call, or cannot be read here."""
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        if body.serializer not in ("json", "msgpack"):
            break
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            match decode(body.data):
                case [list(args), dict(kwargs)]:
                    return Call(args, {str(key): value for key, value in kwargs.items()})
    if task is not None:
        with suppress(LtqError):
            values, named = task.codec.decode_call(body.data, body.serializer)
            return Call(_plain(list(values)), _plain(dict(named)))
    return None


def _read_result(data: Encoded, task: DeclaredTask[..., Any] | None) -> tuple[bool, Any]:
    """Whether a result can be read here, and what it is."""
    text = as_json(*data)
    if text is None and task is not None:
        with suppress(LtqError):
            text = task.codec.result_as_json(*data)
    if text is not None:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return True, msgspec.json.decode(text)
    return False, None


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=repr)


def _call_text(value: Any, separator: str) -> str:
    """A call as text, whatever `redact` has made of it."""
    match value:
        case {"args": list() | tuple() as args, "kwargs": Mapping() as kwargs, **rest} if not rest:
            parts = [_one_line(one) for one in args]
            parts += [f"{name}={_one_line(one)}" for name, one in kwargs.items()]
            return separator.join(parts) or "no arguments"
    return _pretty(value)


def _one_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def _pretty(value: Any) -> str:
    if isinstance(value, str | int | float | bool) or value is None:
        return _one_line(value)
    return json.dumps(value, ensure_ascii=False, default=repr, indent=2)
