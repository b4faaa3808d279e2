"""How a task of Django's travels: its name and queue in LTQ, and its call as JSON.

A function in a queue is a task of LTQ. It waits in the queue `{worker}:{queue}`, which it shares
with the others. Its name is the function's path, `django:shop.tasks.confirm`; in another queue than
"default" the queue precedes it, `django:emails:shop.tasks.confirm`.

The call is one of keywords: `args` and `kwargs`, and `priority` and `run_after` where they were
said. LTQ drops the arguments of a task that has completed, but a `TaskResult` has them. So what a
run returns has the call as well: `{"return_value": 3, "args": [1, 2], "kwargs": {}}`.
"""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ltq.contrib.django._tasks_api import DEFAULT_TASK_QUEUE_NAME
from ltq.options import PriorityName


class QueuedFunction(NamedTuple):
    """A function in a queue."""

    path: str
    """The function's module and name."""
    queue: str
    """The name of the queue in Django."""

    @classmethod
    def of(cls, task: Any) -> "QueuedFunction":
        """That of a `Task` of Django's."""
        return cls(task.module_path, task.queue_name)

    @classmethod
    def read(cls, task_name: str) -> "QueuedFunction":
        """That of a task of LTQ, by its full name."""
        queue, _, path = task_name.partition(":")[2].rpartition(":")
        return cls(path, queue or DEFAULT_TASK_QUEUE_NAME)

    @property
    def task_name(self) -> str:
        """Its name within the worker of LTQ."""
        return self.path if self.queue == DEFAULT_TASK_QUEUE_NAME else f"{self.queue}:{self.path}"

    def queue_of(self, worker: str) -> str:
        """Its queue in LTQ."""
        return f"{worker}:{self.queue}"


def level_of(priority: int) -> PriorityName:
    """The priority in LTQ, which has three."""
    if priority > 0:
        return "high"
    return "low" if priority < 0 else "normal"


def call_of(task: Any, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call of a `Task` as it travels."""
    call: dict[str, Any] = {"args": args, "kwargs": kwargs}
    if task.priority:
        call["priority"] = int(task.priority)
    if task.run_after is not None:
        call["run_after"] = task.run_after.isoformat()
    return call


def read_call(body: bytes) -> dict[str, Any]:
    """The call in a message of LTQ's."""
    _, call = msgspec.json.decode(body, type=tuple[list[Any], dict[str, Any]])
    return call


def as_enqueued(
    declared: Any, function: QueuedFunction, alias: str, call: Mapping[str, Any]
) -> Any:
    """The `Task` as it was when a call of it was enqueued."""
    run_after = call.get("run_after")
    return dataclasses.replace(
        declared,
        backend=alias,
        queue_name=function.queue,
        priority=call.get("priority", 0),
        run_after=None if run_after is None else datetime.fromisoformat(run_after),
    )
