"""Running a task of Django's in a worker of LTQ."""

import traceback
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from ltq.context import current
from ltq.contrib.django._calls import QueuedFunction, as_enqueued
from ltq.contrib.django._results import complete, fail, running_result
from ltq.contrib.django._tasks_api import (
    TaskContext,
    normalize_json,
    task_finished,
    task_started,
)
from ltq.errors import RetryError


class _Run:
    """One run of a task: what it is called with, and what its signals tell."""

    def __init__(
        self, task: Any, function: QueuedFunction, alias: str, call: dict[str, Any]
    ) -> None:
        enqueued = as_enqueued(task, function, alias, call)
        self.result = running_result(enqueued, alias, current().message, call)
        context = [TaskContext(task_result=self.result)] if task.takes_context else []
        # What the function does to its arguments stays out of the result.
        self.args = [*context, *normalize_json(call["args"])]
        self.kwargs = normalize_json(call["kwargs"])
        self._call = call

    def returned(self, value: Any) -> dict[str, Any]:
        """Note what the function returned: what travels back."""
        complete(self.result, value)
        return {"return_value": value, **self._call}

    def raised(self, error: BaseException) -> None:
        """Note the error of the function."""
        fail(self.result, error, "".join(traceback.format_exception(error)))


def runner_of(task: Any, function: QueuedFunction, alias: str, sender: type) -> Callable[..., Any]:
    """The function that a worker of LTQ runs for a `Task`: a coroutine function for one.

    `sender` is the class that sends the signals. What their receivers raise is logged by Django.
    """
    if iscoroutinefunction(task.func):
        return _async_runner(task, function, alias, sender)
    return _runner(task, function, alias, sender)


def _runner(task: Any, function: QueuedFunction, alias: str, sender: type) -> Callable[..., Any]:
    def run(
        args: list[Any], kwargs: dict[str, Any], priority: int = 0, run_after: str | None = None
    ) -> dict[str, Any]:
        one = _Run(task, function, alias, _call(args, kwargs, priority, run_after))
        task_started.send_robust(sender, task_result=one.result)
        try:
            answer = one.returned(normalize_json(task.func(*one.args, **one.kwargs)))
        except RetryError:
            raise  # it is not finished
        except BaseException as error:
            one.raised(error)
            task_finished.send_robust(sender, task_result=one.result)
            raise
        task_finished.send_robust(sender, task_result=one.result)
        return answer

    return run


def _async_runner(
    task: Any, function: QueuedFunction, alias: str, sender: type
) -> Callable[..., Any]:
    async def run(
        args: list[Any], kwargs: dict[str, Any], priority: int = 0, run_after: str | None = None
    ) -> dict[str, Any]:
        one = _Run(task, function, alias, _call(args, kwargs, priority, run_after))
        await task_started.asend_robust(sender, task_result=one.result)
        try:
            answer = one.returned(normalize_json(await task.func(*one.args, **one.kwargs)))
        except RetryError:
            raise
        except Exception as error:  # a cancelled run may go on elsewhere
            one.raised(error)
            await task_finished.asend_robust(sender, task_result=one.result)
            raise
        await task_finished.asend_robust(sender, task_result=one.result)
        return answer

    return run


def _call(
    args: list[Any], kwargs: dict[str, Any], priority: int, run_after: str | None
) -> dict[str, Any]:
    call: dict[str, Any] = {"args": args, "kwargs": kwargs}
    if priority:
        call["priority"] = priority
    if run_after is not None:
        call["run_after"] = run_after
    return call
