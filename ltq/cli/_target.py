"""Loading what a command names: MODULE:WORKER, MODULE:APP, MODULE:SCHEDULER, or a task."""

from collections.abc import Callable
from functools import reduce
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import click

from ltq._declared import DeclaredTask
from ltq._display.suggestions import near_names
from ltq.app import App
from ltq.broker import Broker
from ltq.cli._broker import export_broker_url
from ltq.cli._errors import WrongUseError
from ltq.cli._options import json_value
from ltq.cli._user_module import import_user_module
from ltq.errors import InvalidArgumentsError
from ltq.task import Task
from ltq.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])

Runnable: TypeAlias = Worker[Any] | App
"""What `ltq run` runs."""


def load_runnable(target: str, *, want_app: bool = False) -> Runnable:
    """Import the worker or App that `MODULE:NAME` names. Raises `WrongUseError`."""
    found = load(target, *((App,) if want_app else (Worker, App)))
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


def load(target: str, *kinds: type[Any]) -> object:
    """Import the object that `MODULE:NAME` names, of any type. Raises `WrongUseError`.

    If there is no such name, the error suggests that of an object of one of these kinds: the
    nearest one, or else the first.
    """
    path, name = split_target(target)
    return _find(import_user_module(path), path, name, kinds)


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


def _find(module: ModuleType, path: str, name: str, kinds: tuple[type[Any], ...]) -> object:
    try:
        found: object = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        others = [
            key
            for kind in kinds
            for key, value in sorted(vars(module).items())
            if isinstance(value, kind)
        ]
        near = near_names(name, others) or others
        hint = f": did you mean {path}:{near[0]}?" if near else ""
        raise WrongUseError(f"there is no {name!r} in module {path}{hint}") from error
    return found


def wrong_type(target: str, wanted: str, found: object) -> WrongUseError:
    """The error for a target of a wrong type."""
    return WrongUseError(f"{target} is not {wanted}: it is of type {_public_name(type(found))}")


def _public_name(kind: type[Any]) -> str:
    """Return the name of a type, or of its first public base."""
    known = (one for one in kind.__mro__ if not one.__module__.startswith("ltq._"))
    return next(known).__name__


def call_options(command: F) -> F:
    """The options `--args` and `--kwargs`, for `load_call`."""
    for option, what, default, example in (
        ("--kwargs", "keyword", "{}", """'{"discount": 0.1}'"""),
        ("--args", "positional", "[]", """'[1, {"x": 2}]'"""),
    ):
        text = f"The {what} arguments, like {example}."
        add = click.option(option, type=json_value, default=default, metavar="JSON", help=text)
        command = add(command)
    return command


def load_call(
    target: str, args: object, kwargs: object, broker_url: str | None
) -> tuple[Worker[Any], Task[..., Any], tuple[tuple[Any, ...], dict[str, Any]]]:
    """Import a task, and read its arguments as JSON has them. `broker_url` overrides the code's.

    Raises `WrongUseError`.
    """
    if not isinstance(args, list):
        raise WrongUseError("--args must be a JSON array")
    if not isinstance(kwargs, dict):
        raise WrongUseError("--kwargs must be a JSON object")
    export_broker_url(broker_url)
    worker, task = load_task(target)
    if broker_url is not None:
        worker.broker = Broker.from_url(broker_url)
    try:
        return worker, task, DeclaredTask.of(task).codec.read_call(args, kwargs)
    except InvalidArgumentsError as error:
        raise WrongUseError(str(error)) from error
