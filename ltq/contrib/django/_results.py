"""What LTQ knows of a task, as a `TaskResult` of Django's."""

import builtins
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.utils import timezone

import ltq.errors
from ltq.broker import Broker
from ltq.contrib.django._calls import read_call
from ltq.contrib.django._tasks_api import TaskError, TaskResult, TaskResultStatus
from ltq.errors import TaskNotFoundError
from ltq.message import Message
from ltq.names import consumer_name
from ltq.state import Status, TaskState

_STATUS = {
    Status.PENDING: TaskResultStatus.READY,
    Status.DELAYED: TaskResultStatus.READY,
    Status.WORKING: TaskResultStatus.RUNNING,
    Status.COMPLETED: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.REJECTED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
}

_NO_CAUSE = {
    Status.REJECTED: ltq.errors.TaskRejectedError,
    Status.CANCELLED: ltq.errors.TaskCancelledError,
}

_MOST_LOOKS = 5
"""Most looks at a task that ends while it is looked at."""

_ERROR_BEGINS = 100
"""Characters of an error's first line that find it in its traceback, where a long one is cut."""

UNKNOWN_WORKER = "unknown"
"""Stands for each worker before the last one: LTQ counts them, and keeps the name of the last."""


class Found(NamedTuple):
    """What the broker knows of a task."""

    state: TaskState[bytes]
    call: Mapping[str, Any] | None
    """None if it is not kept: the task was cancelled."""


async def look_up(broker: Broker, queue: str, task_id: str) -> Found:
    """The state and the call of a task. `queue` is any one of its worker.

    Raises `TaskNotFoundError`, and `BrokerError`.
    """
    looks = 0
    while True:
        looks += 1
        state = await broker.state(queue, task_id)
        call = await _call_of(broker, state)
        if call is not None or state.status.is_final or looks == _MOST_LOOKS:
            return Found(state, call)


async def _call_of(broker: Broker, state: TaskState[bytes]) -> Mapping[str, Any] | None:
    if state.status is Status.COMPLETED:
        return msgspec.json.decode(state.result or b"{}", type=dict[str, Any])
    body: bytes | None = None
    if not state.status.is_final:
        body = await broker.body(state.queue, state.id)
    elif state.status.is_dead:
        try:
            body = (await broker.dead_letter(state.queue, state.id)).body
        except TaskNotFoundError:  # purged, or sent again
            return None
    return None if body is None else read_call(body)


def new_result(task: Any, alias: str, message_id: str, call: Mapping[str, Any]) -> Any:
    """The `TaskResult` of a task that is about to be sent."""
    return TaskResult(
        task=task,
        id=message_id,
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=call["args"],
        kwargs=call["kwargs"],
        backend=alias,
        errors=[],
        worker_ids=[],
    )


def running_result(task: Any, alias: str, message: Message[Any], call: Mapping[str, Any]) -> Any:
    """The `TaskResult` of a task that this process begins to run."""
    began = moment(message.dequeue_time)
    result = new_result(task, alias, message.id, call)
    _change(
        result,
        status=TaskResultStatus.RUNNING,
        enqueued_at=moment(message.enqueue_time),
        started_at=began,
        last_attempted_at=began,
        worker_ids=_worker_ids(consumer_name(), message.dequeue_count),
    )
    return result


def complete(result: Any, value: object) -> None:
    """Note that a task has returned."""
    _change(
        result,
        status=TaskResultStatus.SUCCESSFUL,
        finished_at=timezone.now(),
        _return_value=value,
    )


def fail(result: Any, error: BaseException, trace: str) -> None:
    """Note that a task has raised an error."""
    kind = type(error)
    path = f"{kind.__module__}.{kind.__qualname__}"
    _change(result, status=TaskResultStatus.FAILED, finished_at=timezone.now())
    result.errors.append(TaskError(exception_class_path=path, traceback=trace))


def known_result(task: Any, alias: str, found: Found) -> Any:
    """The `TaskResult` of a task in the broker."""
    state, call = found
    began = moment(state.last_dequeue_time)
    result = new_result(task, alias, state.id, call or {"args": [], "kwargs": {}})
    _change(
        result,
        status=_STATUS[state.status],
        enqueued_at=moment(state.enqueue_time),
        started_at=began,
        last_attempted_at=began,
        finished_at=moment(state.release_time),
        worker_ids=_worker_ids(state.worker, state.dequeue_count),
        errors=_errors(state),
    )
    if state.status is Status.COMPLETED and call is not None:
        _change(result, _return_value=call["return_value"])
    return result


def _change(result: Any, **values: object) -> None:
    """Set fields of a `TaskResult`, which is frozen for users only."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def moment(time: float | None) -> datetime | None:
    """Unix seconds as Django has times: aware with `USE_TZ`, else naive."""
    if time is None:
        return None
    aware = datetime.fromtimestamp(time, UTC)
    return aware if settings.USE_TZ else timezone.make_naive(aware)


def _worker_ids(last: str | None, count: int) -> list[str]:
    """A name for each attempt: host and process, without the digits of the run."""
    if last is None or count < 1:
        return []
    return [UNKNOWN_WORKER] * (count - 1) + [last.rpartition("-")[0] or last]


def _errors(state: TaskState[bytes]) -> list[Any]:
    """The error that a task ended with."""
    if _STATUS[state.status] != TaskResultStatus.FAILED:
        return []
    text = state.traceback or state.error or f"the task was {state.status}"
    return [TaskError(exception_class_path=_class_path(state), traceback=text)]


def _class_path(state: TaskState[bytes]) -> str:
    """The module and name of the class of an error."""
    kind = state.error_type or ""
    if state.status is Status.FAILED and kind and state.traceback:
        module = _module_in(state.traceback, state.error or kind)
        if module:
            return f"{module}{kind}"
    for known in (builtins, ltq.errors):
        if isinstance(getattr(known, kind, None), type):
            return f"{known.__name__}.{kind}"
    other = _NO_CAUSE.get(state.status, ltq.errors.TaskFailedError)
    return f"{other.__module__}.{other.__name__}"


def _module_in(trace: str, error: str) -> str:
    """What precedes an error in its traceback, with a dot; empty if that is nothing.

    Python writes the whole name of a class there, but leaves out the module `builtins`.
    """
    last = trace[trace.rfind("\nTraceback (most recent call last):\n") + 1 :]
    begins = re.escape(error.partition("\n")[0][:_ERROR_BEGINS])
    found = re.search(rf"^(?:  [|+] )?((?:[\w<>]+\.)*){begins}", last, re.MULTILINE)
    return "" if found is None else found[1]
