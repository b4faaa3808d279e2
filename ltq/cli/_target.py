"""Loading what a command names: MODULE:WORKER, MODULE:APP, MODULE:SCHEDULER, or a task."""

from functools import reduce
from types import ModuleType
from typing import Any, TypeAlias

from ltq.app import App
from ltq.cli._errors import WrongUseError
from ltq.cli._user_module import import_user_module
from ltq.task import Task
from ltq.worker import Worker

Runnable: TypeAlias = Worker[Any] | App
"""What `ltq run` runs."""


def load_runnable(target: str, *, want_app: bool = False) -> Runnable:
    """Import the worker or App that `MODULE:NAME` names. Raises `WrongUseError`."""
    found = load(target, Worker)
    if isinstance(found, App) or (isinstance(found, Worker) and not want_app):
        return found
    wanted = "an ltq.App" if want_app else "an ltq.Worker or ltq.App"
    raise wrong_type(target, wanted, found)


def workers_of(runnable: Runnable) -> tuple[Worker[Any], ...]:
    """Return the workers that run."""
    return runnable.workers if isinstance(runnable, App) else (runnable,)


def load_task(target: str) -> tuple[Worker[Any], Task[..., Any]]:
    """Import the task that `MODULE:WORKER.TASK` names, and its worker. Raises `WrongUseError`."""
    path, colon, name = target.partition(":")
    owner, dot, own = name.partition(".")
    if not (colon and dot and own):
        raise WrongUseError(
            f"{target!r} is not of the form MODULE:WORKER.TASK, like jobs:worker.add"
        )
    worker = load(f"{path}:{owner}", Worker)
    if not isinstance(worker, Worker):
        raise wrong_type(f"{path}:{owner}", "an ltq.Worker", worker)
    task = worker.tasks.get(f"{worker.name}:{own}")
    if task is None:
        new = [one.name for one in worker.tasks.values() if own in one.config.aliases]
        if new:
            raise WrongUseError(
                f"{own!r} is a former name of {path}:{owner}.{new[0].partition(':')[2]}"
            )
        known = ", ".join(name.partition(":")[2] for name in worker.tasks) or "none"
        raise WrongUseError(f"worker {path}:{owner} has no task {own!r}; its tasks: {known}")
    return worker, task


def load(target: str, kind: type[Any]) -> object:
    """Import the object that `MODULE:NAME` names, of any type. Raises `WrongUseError`.

    If there is no such name, the error suggests the name of an object of this kind.
    """
    path, name = split_target(target)
    return _find(import_user_module(path), path, name, kind)


def split_target(target: str) -> tuple[str, str]:
    """Return the module and the name in `MODULE:NAME`, without importing anything.

    Raises `WrongUseError`.
    """
    path, colon, name = target.partition(":")
    if not colon:
        raise _wrong_form(target)
    if path.endswith(".py") or "/" in path:
        module = path.removesuffix(".py").strip("./").replace("/", ".")
        raise WrongUseError(f"{path!r} is a file, not a module: try {module}:{name}")
    if not all(part.isidentifier() for part in (*path.split("."), *name.split("."))):
        raise _wrong_form(target)
    return path, name


def _wrong_form(target: str) -> WrongUseError:
    return WrongUseError(f"{target!r} is not of the form MODULE:NAME, like jobs:worker")


def _find(module: ModuleType, path: str, name: str, kind: type[Any]) -> object:
    try:
        found: object = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        others = sorted(key for key, value in vars(module).items() if isinstance(value, kind))
        hint = f": did you mean {path}:{others[0]}?" if others else ""
        raise WrongUseError(f"there is no {name!r} in module {path}{hint}") from error
    return found


def wrong_type(target: str, wanted: str, found: object) -> WrongUseError:
    """The error for a target of a wrong type."""
    return WrongUseError(f"{target} is not {wanted}: it is of type {_public_name(type(found))}")


def _public_name(kind: type[Any]) -> str:
    """Return the name of a type, or of its first public base."""
    known = (one for one in kind.__mro__ if not one.__module__.startswith("ltq._"))
    return next(known).__name__
