"""Checks of a worker's tasks before it claims its first message."""

from collections.abc import Mapping, Sequence
from typing import Any

from ltq._declared import DeclaredTask
from ltq.errors import ConfigurationError
from ltq.middleware import Middleware

_MIDDLEWARE_OPTIONS = ("max_tries", "backoff", "retry_on", "max_age", "max_rate")
"""Options that do nothing without the middleware that implements them."""


def check_tasks(
    worker: str, tasks: Mapping[str, DeclaredTask[..., Any]], middlewares: Sequence[Middleware]
) -> None:
    """Raise `ConfigurationError` if a task of the worker could not run as it is declared."""
    if not tasks:
        raise ConfigurationError(f"worker {worker!r} has no tasks to run")
    implemented = {option for middleware in middlewares for option in middleware.options}
    for task in tasks.values():
        task.codec.resolve()
        _check_queue(task, tasks)
        for option in _MIDDLEWARE_OPTIONS:
            if option in task.options and option not in implemented:
                raise ConfigurationError(
                    f"task {task.name!r} declares {option}, but no middleware of worker "
                    f"{worker!r} implements it"
                )


def _check_queue(task: DeclaredTask[..., Any], tasks: Mapping[str, DeclaredTask[..., Any]]) -> None:
    """Raise `ConfigurationError` if the limit of another task would hold this one up."""
    owner = tasks.get(task.queue, task)
    if owner is not task and owner.lane == task.lane and owner.config.is_limited:
        raise ConfigurationError(
            f"task {task.name!r} waits in queue {task.queue!r}, which is limited as task "
            f"{owner.name!r} is: give one of them another queue"
        )
