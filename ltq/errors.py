"""Every error LTQ raises, in one tree.

LtqError
├── ConfigurationError (ValueError)     a wrong option, name, URL or set-up
├── InvalidArgumentsError (TypeError)   arguments that do not fit the task; nothing was sent
├── QueueFullError                      `max_pending` reached; nothing was sent
├── DecodeError                         bytes that cannot be read as the annotations say
├── ResultError                         a result that cannot travel, or is not as annotated
├── BrokerError                         the broker cannot be reached or refused the call
├── LifespanError                       a worker's lifespan raised an error: its cause
├── RunOverError                        the worker has ended this run; raised in its thread
├── TaskNotFoundError (LookupError)     no such task: unknown id, or its result has expired
├── RerunError                          a task that cannot be sent once more
├── ScheduleNotFoundError (LookupError)  no such schedule: none was put, no code here has it
├── ResultTimeoutError (TimeoutError)   the wait ended before the task did
├── TaskError                           a task ended without completing; carries its state
│   ├── TaskFailedError                 it raised an error and is not retried
│   ├── TaskRejectedError               RejectError, too old, undecodable, killed its workers
│   └── TaskCancelledError              cancelled
└── SignalError                         raised by tasks and middleware: how a run ends
    ├── RetryError                      run it again, after a delay
    ├── RejectError                     end it as REJECTED
    └── ExhaustedError                  end it as FAILED, with its cause; from `MaxTries`
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ltq.state import TaskState


class LtqError(Exception):
    """Base of every error of LTQ."""


class ConfigurationError(LtqError, ValueError):
    """A wrong option, name, URL or set-up. The text names the value and what is allowed."""


class InvalidArgumentsError(LtqError, TypeError):
    """The arguments do not fit the task's signature or cannot be encoded. Nothing was sent."""


class QueueFullError(LtqError):
    """`max_pending` tasks wait in the queue already. Nothing was sent.

    `depth` is the number of tasks that waited in the queue, `limit` the task's `max_pending`.
    """

    def __init__(self, queue: str, depth: int, limit: int) -> None:
        super().__init__(f"queue '{queue}' is full: {depth} tasks wait, max_pending={limit}")
        self.queue = queue
        self.depth = depth
        self.limit = limit

    def __reduce__(self) -> tuple[type["QueueFullError"], tuple[str, int, int]]:
        return type(self), (self.queue, self.depth, self.limit)


class DecodeError(LtqError):
    """These bytes are not a call, or not a result, of this task."""


class ResultError(LtqError):
    """A task returned a value that does not fit its return annotation or cannot be encoded."""


class BrokerError(LtqError):
    """The broker could not be reached in time, or refused the call."""

    is_refusal = False
    """Whether the broker answered, and refused this call only; other calls may succeed."""

    is_away = True
    """Whether the broker could not be reached, so that waiting may help."""

    is_busy = False
    """Whether others hold what a call needs that was refused: it may succeed later as it is."""


class LifespanError(LtqError):
    """A worker's `lifespan` raised an error when it started or ended: see `__cause__`."""


class RunOverError(LtqError):
    """The worker has ended this run: timed out, cancelled, lost or requeued. A thread goes on."""


class TaskNotFoundError(LtqError, LookupError):
    """There is no such task: the id is unknown, or its result has expired."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no task with id '{task_id}': unknown, or its result has expired")
        self.task_id = task_id

    def __reduce__(self) -> tuple[type["TaskNotFoundError"], tuple[str]]:
        return type(self), (self.task_id,)


class RerunError(LtqError):
    """These tasks cannot be sent once more, so nothing was sent.

    `reasons` says why, by the id of the task.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        each = [f"task '{task_id}' cannot run again: {why}" for task_id, why in reasons.items()]
        more = f"; and {len(each) - 3} others" if len(each) > 3 else ""
        super().__init__("; ".join(each[:3]) + more)
        self.reasons: dict[str, str] = dict(reasons)

    def __reduce__(self) -> tuple[type["RerunError"], tuple[dict[str, str]]]:
        return type(self), (self.reasons,)


class ScheduleNotFoundError(LtqError, LookupError):
    """There is no such schedule: none was put, and the code here declares none with this name."""

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"there is no schedule '{name}'{hint}")
        self.name = name
        self.near: tuple[str, ...] = tuple(near)
        """Names of schedules that come near to it."""

    def __reduce__(self) -> tuple[type["ScheduleNotFoundError"], tuple[str, tuple[str, ...]]]:
        return type(self), (self.name, self.near)


class ResultTimeoutError(LtqError, TimeoutError):
    """The task did not end within the `timeout` of the wait. The task itself goes on."""

    def __init__(self, task_id: str, timeout: float) -> None:
        super().__init__(f"task '{task_id}' did not end within {timeout:g} s")
        self.task_id = task_id
        self.timeout = timeout

    def __reduce__(self) -> tuple[type["ResultTimeoutError"], tuple[str, float]]:
        return type(self), (self.task_id, self.timeout)


class TaskError(LtqError):
    """A task ended without completing. `state` is its final state.

    `type`, `message` and `traceback` describe the error that the task raised in its worker, as
    text; `traceback` is None if nothing was raised.
    """

    def __init__(self, state: TaskState[Any]) -> None:
        super().__init__(f"task '{state.task_name}' {state.status}: {state.error or 'no reason'}")
        self.state = state
        self.type: str = state.error_type or ""
        kind, separator, text = (state.error or "").partition(": ")
        named = kind == self.type  # it is an error, "ValueError: text" or "ValueError"
        self.message: str = (text if separator else "") if named else state.error or ""
        self.traceback: str | None = state.traceback

    def __reduce__(self) -> tuple[type["TaskError"], tuple[TaskState[Any]]]:
        return type(self), (self.state,)


class TaskFailedError(TaskError):
    """The task raised an error and is not retried."""


class TaskRejectedError(TaskError):
    """The task was rejected: by `RejectError`, as too old or undecodable, or as a poison task."""


class TaskCancelledError(TaskError):
    """The task was cancelled."""


class SignalError(LtqError):
    """Raised by a task or middleware to say how this run ends."""


class RetryError(SignalError):
    """Run the task again after `delay` seconds (0: at once).

    It uses up a try if `max_tries` is set; without `max_tries` the task may repeat for ever.
    """

    def __init__(self, delay: float | timedelta = 0.0, message: str = "") -> None:
        super().__init__(message)
        self.delay = delay
        """Seconds, or a timedelta."""

    def __reduce__(self) -> tuple[type["RetryError"], tuple[float | timedelta, str]]:
        return type(self), (self.delay, str(self))


class RejectError(SignalError):
    """End the task as REJECTED, with the reason given. It is not retried."""


class ExhaustedError(SignalError):
    """End the task as FAILED, with the error it was raised from.

    `MaxTries` does `raise ExhaustedError from error` when no try is left.
    """
