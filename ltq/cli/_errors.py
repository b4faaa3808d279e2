"""How a failed command ends: one line on stderr, and an exit code."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

from ltq.errors import ConfigurationError, LtqError
from ltq.logger import printable


class CommandError(click.ClickException):
    """The command failed."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"ltq: {printable(self.message)}", file=file, err=True)


class WrongUseError(CommandError):
    """The command was used in a wrong way."""

    exit_code = 2


class StoppedError(CommandError):
    """Ctrl-C was pressed before there was an answer."""

    exit_code = 130


class UnaskedEndError(CommandError):
    """What runs until it is stopped has ended by itself, with an exit code that says success."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has ended unexpectedly: a task or callback ended the event loop with "
            "sys.exit(0)"
        )


@contextmanager
def no_silent_end(what: str, was_asked: Callable[[], bool]) -> Iterator[None]:
    """Around what runs an event loop: raise `UnaskedEndError` if it ends with success unasked."""
    try:
        yield
    except SystemExit as error:
        if was_asked() or error.code:
            raise
        raise UnaskedEndError(what) from error


def tell(error: Exception) -> None:
    """Print the line of an error that does not end the command. Its exit code is 1 then."""
    click.echo(f"ltq: {printable(str(error))}", err=True)


def exclusive(one: str, other: str) -> WrongUseError:
    """The error for two options, or arguments, that cannot be combined."""
    return WrongUseError(f"{one} and {other} cannot be combined")


@contextmanager
def one_line() -> Iterator[None]:
    """Turn each expected error into one line on stderr and an exit code."""
    try:
        yield
    except click.UsageError as error:
        raise WrongUseError(_sentence(error)) from error
    except ConfigurationError as error:
        raise WrongUseError(str(error)) from error
    except LtqError as error:
        raise CommandError(str(error)) from error
    except (click.Abort, KeyboardInterrupt) as error:
        raise StoppedError("stopped") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:  # click itself handles a closed pipe
            raise
        _discard_output()
        raise CommandError(f"cannot write: {error.strerror}") from error


def _discard_output() -> None:
    """Discard stdout: Python would try to write its buffer once more at exit."""
    with suppress(OSError):  # stdout may not be a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: click.UsageError) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else "ltq"
    return f"{text[:1].lower()}{text[1:]} (see '{path} --help')"
