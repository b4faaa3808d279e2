"""`manage.py ltq_worker`: the workers of the project."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand

from ltq.cli.run.embedded import RunOption, run_embedded, run_options
from ltq.contrib.django.project import project_app


class _Command(BaseCommand):
    """Runs them until SIGTERM or Ctrl-C."""

    help = (
        "Run the workers of this project until SIGTERM or Ctrl-C: each ltq.Worker in a module "
        "`tasks` of an installed app, and one for each LtqBackend of TASKS. The options are those "
        "of `ltq run`."
    )
    _is_program = False

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Run as the command of this process."""
        self._is_program = True
        super().run_from_argv(argv)

    def add_arguments(self, parser: Any) -> None:
        """Take the options of `ltq run`, and `--worker`."""
        parser.add_argument(
            "--worker",
            action="append",
            metavar="NAME",
            help="Run only the worker of this name. It may be given several times.",
        )
        for option in run_options():
            text = option.help.replace("%", "%%") or argparse.SUPPRESS
            if option.metavar is None:
                parser.add_argument(*option.flags, action="store_true", help=text)
            else:
                parser.add_argument(*option.flags, metavar=option.metavar, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run them. Raises `SystemExit` after an error."""
        arguments = [part for option in run_options() for part in _given(option, options)]
        run_embedded(
            partial(project_app, options["worker"] or ()),
            arguments,
            name="manage.py ltq_worker",
            is_program=self._is_program,
        )


Command: Any = _Command  # Django's name for it; its base is of no known type


def _given(option: RunOption, options: dict[str, Any]) -> list[str]:
    """An option as `ltq run` reads it; nothing if it was not given."""
    flag = option.flags[0]
    value = options.get(flag.removeprefix("--").replace("-", "_"))
    if value is None or value is False:
        return []
    return [flag] if option.metavar is None else [flag, str(value)]
