"""What `ltq run` is told to run: `module:name`, imported."""

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Protocol

import click

from ltq.cli._errors import CommandError, WrongUseError
from ltq.errors import ConfigurationError
from ltq.logger import printable
from ltq.task import Task
from ltq.worker import Worker

_MACHINERY = {
    __file__,
    importlib.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
}
"""Files whose part in a failed import says nothing to the user."""


class Runnable(Protocol):
    """A Worker or an App."""

    async def run(self, *, burst: bool = False) -> None:
        """Run until stopped; with `burst` until nothing is due or running."""
        ...


class UserCodeError(CommandError):
    """The user's module raised while it was imported."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace

    def show(self, file: IO[Any] | None = None) -> None:
        """Print where it was raised, then the one line."""
        for line in self.trace.rstrip("\n").split("\n"):
            click.echo(printable(line.expandtabs(4)), file=file, err=True)
        super().show(file)


def load_runnable(target: str, *, want_app: bool = False) -> Runnable:
    """Import `module:name`, with the current directory on the path."""
    found = load(target, Worker)
    app = _app_class()
    if app is not None and isinstance(found, app):
        runnable: Runnable = found
        return runnable
    if isinstance(found, Worker) and not want_app:
        return found
    wanted = "an ltq.App" if want_app else "an ltq.Worker or ltq.App"
    raise WrongUseError(f"{target} is not {wanted}: it is of type {type(found).__name__}")


def load(target: str, kind: type[Any]) -> object:
    """What `module:name` is; where there is no such name, another one of this kind is proposed."""
    path, name = split(target)
    return _find(_import(path), path, name, kind)


def load_task(target: str) -> tuple[Worker, Task[..., Any]]:
    """Import `module:worker.task`, with the current directory on the path."""
    path, colon, name = target.partition(":")
    owner, dot, own = name.partition(".")
    if not (colon and dot and own):
        raise WrongUseError(
            f"{target!r} is not of the form MODULE:WORKER.TASK, like jobs:worker.add"
        )
    worker = load_runnable(f"{path}:{owner}")
    if not isinstance(worker, Worker):
        raise WrongUseError(f"{path}:{owner} is no ltq.Worker")
    task = worker.tasks.get(f"{worker.name}:{own}")
    if task is None:
        known = ", ".join(name.partition(":")[2] for name in worker.tasks) or "none"
        raise WrongUseError(f"the worker {path}:{owner} has no task {own!r}: it has {known}")
    return worker, task


def _app_class() -> type[Any] | None:
    try:
        app: type[Any] = importlib.import_module("ltq.app").App
    except ModuleNotFoundError:
        return None
    return app


def split(target: str) -> tuple[str, str]:
    """The module and the name of `module:name`; nothing is imported."""
    path, colon, name = target.partition(":")
    if not colon:
        raise WrongUseError(f"{target!r} is not of the form MODULE:NAME, like jobs:worker")
    if path.endswith(".py") or "/" in path:
        module = path.removesuffix(".py").strip("./").replace("/", ".")
        raise WrongUseError(f"{path!r} is a file, not a module: try {module}:{name}")
    for part in (*path.split("."), *name.split(".")):
        if not part.isidentifier():
            raise WrongUseError(f"{target!r} is not of the form MODULE:NAME, like jobs:worker")
    return path, name


def _import(path: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            raise WrongUseError(f"there is no module {error.name!r} (looked in {here})") from error
        raise _told(path, error) from error
    except ConfigurationError as error:
        raise WrongUseError(f"{error} ({_place(error)})") from error
    except (Exception, SystemExit) as error:
        raise _told(path, error) from error


def _find(module: ModuleType, path: str, name: str, kind: type[Any]) -> object:
    try:
        found: object = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        others = sorted(key for key, value in vars(module).items() if isinstance(value, kind))
        hint = f": did you mean {path}:{others[0]}?" if others else ""
        raise WrongUseError(f"there is no {name!r} in the module {path}{hint}") from error
    return found


def _told(path: str, error: BaseException) -> UserCodeError:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error).__name__
    message = f"{path} cannot be imported: {kind}: {text}" if text else f"{path}: {kind}"
    return UserCodeError(f"{message} ({_place(error)})", _short_trace(error))


def _place(error: BaseException) -> str:
    """The line of the user's code that the error came from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}, line {error.lineno}"
    frames = _own_frames(traceback.extract_tb(error.__traceback__))
    theirs = [frame for frame in frames if not _is_library(frame.filename)]
    for frame in [*frames[:1], *theirs][-1:]:
        return f"{_relative(frame.filename)}, line {frame.lineno}"
    return "no line known"


def _short_trace(error: BaseException) -> str:
    """The traceback without the frames of the import itself."""
    told = traceback.TracebackException.from_exception(error)
    for part in _chain(told):
        part.stack = traceback.StackSummary.from_list(_own_frames(part.stack))
    return "".join(told.format())


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield told
    for other in (told.__cause__, told.__context__):
        if other is not None:
            yield from _chain(other)


def _own_frames(frames: traceback.StackSummary) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if frame.filename not in _MACHINERY]


def _is_library(filename: str) -> bool:
    ours = Path(__file__).parent.parent
    return (
        f"{os.sep}site-packages{os.sep}" in filename
        or Path(filename).is_relative_to(ours)
        or Path(filename).is_relative_to(sysconfig.get_path("stdlib"))
    )


def _relative(filename: str) -> str:
    here = Path.cwd()
    path = Path(filename)
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename
