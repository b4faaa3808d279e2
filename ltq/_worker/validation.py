"""Checks of a worker's tasks: when they are declared, and before it claims its first message."""

from collections.abc import Mapping, Sequence
from typing import Any

from ltq._declared import DeclaredTask
from ltq.errors import ConfigurationError
from ltq.middleware import Middleware
from ltq.names import namespace_of

_MIDDLEWARE_OPTIONS = ("max_tries", "backoff", "retry_on", "max_age", "max_rate")
"""Options that do nothing without the middleware that implements them."""


def check_names(task: DeclaredTask[..., Any], tasks: Mapping[str, DeclaredTask[..., Any]]) -> None:
    """Raise `ConfigurationError` if a name or an alias of a new task is taken or wrong."""
    if task.name in tasks:
        raise ConfigurationError(f"task {task.name!r} is declared twice: give one of them a name")
    if task.name in task.names[1:]:
        raise ConfigurationError(f"task {task.name!r} has its own name among its aliases")
    worker = f"{namespace_of(task.name)}:"
    for alias in task.config.aliases:
        if alias.startswith(worker):  # as names are shown
            raise ConfigurationError(
                f"alias {alias!r} of task {task.name!r} is not allowed: aliases are names within "
                f"the worker, such as {alias.removeprefix(worker)!r}"
            )
    for other in tasks.values():
        for name in set(task.names) & set(other.names):
            raise ConfigurationError(
                f"tasks {task.name!r} and {other.name!r} are both called {name!r}, as a name or an "
                "alias: messages of that name can run as one of them only"
            )


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
    owner = next((one for one in tasks.values() if task.queue in one.names), task)
    if owner is not task and task.lane in owner.lanes and owner.config.is_limited:
        raise ConfigurationError(
            f"task {task.name!r} waits in queue {task.queue!r}, which is limited as task "
            f"{owner.name!r} is: give one of them another queue"
        )
