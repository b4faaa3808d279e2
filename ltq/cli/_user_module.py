"""Importing the user's module, and naming the line at which that failed."""

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import click

from ltq.cli._errors import CommandError, WrongUseError
from ltq.errors import ConfigurationError
from ltq.logger import enable_loggers, printable

_MACHINERY = {
    __file__,
    importlib.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
}
"""Files whose frames in a traceback tell a user nothing."""


class UserCodeError(CommandError):
    """The user's module raised an error while it was imported."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the traceback, then the line."""
        for line in self.trace.rstrip("\n").split("\n"):
            click.echo(printable(line.expandtabs(4)), file=file, err=True)
        super().show(file)


def import_user_module(path: str) -> ModuleType:
    """Import a module, with the current directory on the path.

    Raises `WrongUseError` if there is no such module, `UserCodeError` if it raises.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            raise WrongUseError(f"there is no module {error.name!r} (looked in {here})") from error
        raise _user_code_error(path, error) from error
    except ConfigurationError as error:
        raise WrongUseError(f"{error} ({_place(error)})") from error
    except (Exception, SystemExit) as error:
        raise _user_code_error(path, error) from error
    finally:
        enable_loggers()  # a module that sets up its own may have disabled LTQ's


def _user_code_error(path: str, error: BaseException) -> UserCodeError:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error).__name__
    message = f"{path} cannot be imported: {kind}: {text}" if text else f"{path}: {kind}"
    return UserCodeError(f"{message} ({_place(error)})", _short_trace(error))


def _place(error: BaseException) -> str:
    """Return the file and line of the user's code that raised the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}, line {error.lineno}"
    frames = _without_machinery(traceback.extract_tb(error.__traceback__))
    own = [frame for frame in frames if not _is_library(frame.filename)]
    for frame in [*frames[:1], *own][-1:]:
        return f"{_relative(frame.filename)}, line {frame.lineno}"
    return "unknown line"


def _short_trace(error: BaseException) -> str:
    """Return the traceback without the frames of the import itself."""
    whole = traceback.TracebackException.from_exception(error)
    for part in _chain(whole):
        part.stack = traceback.StackSummary.from_list(_without_machinery(part.stack))
    return "".join(whole.format())


def _chain(part: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield part
    for other in (part.__cause__, part.__context__):
        if other is not None:
            yield from _chain(other)


def _without_machinery(frames: traceback.StackSummary) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if frame.filename not in _MACHINERY]


def _is_library(filename: str) -> bool:
    ltq = Path(__file__).parent.parent
    return (
        f"{os.sep}site-packages{os.sep}" in filename
        or Path(filename).is_relative_to(ltq)
        or Path(filename).is_relative_to(sysconfig.get_path("stdlib"))
    )


def _relative(filename: str) -> str:
    here = Path.cwd()
    path = Path(filename)
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename
