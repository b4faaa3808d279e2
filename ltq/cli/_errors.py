"""How a command that did not work out is told: one line on stderr, and an exit code."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

from ltq.errors import ConfigurationError, LtqError
from ltq.logger import printable


class CommandError(click.ClickException):
    """It did not work out."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the one line."""
        click.echo(f"ltq: {printable(self.message)}", file=file, err=True)


class WrongUseError(CommandError):
    """It was called in a wrong way."""

    exit_code = 2


class StoppedError(CommandError):
    """Ctrl-C, before there was an answer."""

    exit_code = 130


@contextmanager
def one_line() -> Iterator[None]:
    """Turn the errors that are the user's to know into one line each."""
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
        if error.errno != errno.ENOSPC:  # a closed pipe is click's part
            raise
        _drop_output()
        raise CommandError(f"cannot write: {error.strerror}") from error


def _drop_output() -> None:
    """Let what could not be written go nowhere: Python would try once more when it ends."""
    with suppress(OSError):  # stdout may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: click.UsageError) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else "ltq"
    return f"{text} (see '{path} --help')"
