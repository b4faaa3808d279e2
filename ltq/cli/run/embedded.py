"""`ltq run` as a command of another program, which has workers of its own to run."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click

from ltq.app import App
from ltq.cli._errors import WrongUseError, one_line
from ltq.cli.run._asked import Asked, run_asked
from ltq.cli.run._interpreter import same_program
from ltq.cli.run.command import run

_LEFT_OUT = {"target": None, "app": None, "reloads": False}
"""What the other program decides."""


@dataclass(frozen=True, slots=True)
class RunOption:
    """An option of `ltq run`."""

    flags: tuple[str, ...]
    """As they are written: `("--concurrency",)`."""
    metavar: str | None
    """What stands for its value in the help; None if it takes no value."""
    help: str
    """What it does; empty for one that is not shown."""


def run_options() -> list[RunOption]:
    """The options that `run_embedded` understands."""
    return [
        RunOption(
            tuple(option.opts),
            None if option.is_flag else option.metavar or (option.name or "").upper(),
            "" if option.hidden else option.help or "",
        )
        for option in _options()
    ]


def run_embedded(
    load: Callable[[], App],
    arguments: Sequence[str],
    *,
    name: str,
    is_program: bool,
) -> None:
    """Run the workers of an App until they are told to stop. The arguments are those of `ltq run`.

    `load` is called once logging is set up. `name` is the command in errors. `is_program` says
    whether the command line of this process is this command: only then can there be several
    processes. Raises `SystemExit` after an error, with the exit codes of `ltq`.
    """

    def begin(**options: object) -> None:
        asked = Asked(**{**_LEFT_OUT, **options})  # type: ignore[arg-type]  # click has read them
        if asked.processes > 1 and not is_program:
            raise WrongUseError(
                f"--processes {asked.processes} needs a command line of its own: run {name} in a "
                "process of its own"
            )
        run_asked(asked, load, same_program)

    command = click.Command(name, params=list(_options()), callback=begin, add_help_option=False)
    try:
        with one_line():
            command.main(list(arguments), prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _options() -> Iterator[click.Option]:
    for option in run.params:
        if isinstance(option, click.Option) and option.name not in _LEFT_OUT:
            yield option
