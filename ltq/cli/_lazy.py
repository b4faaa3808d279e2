"""Commands that are imported only when they are used: `ltq --help` does not import Redis."""

import importlib
from collections.abc import Iterable
from typing import Any

import click

from ltq.cli._errors import one_line


class LazyCommand(click.Command):
    """A command that is not imported yet, for help and shell completion."""

    def __init__(self, module: str, name: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._source = module, name

    def load(self) -> click.Command:
        """Import and return the real command."""
        module, name = self._source
        command: click.Command = getattr(importlib.import_module(f"ltq.cli.{module}"), name)
        return command


class OrderedGroup(click.Group):
    """A group that lists its commands in the order they were added, not by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class LazyGroup(OrderedGroup):
    """A group of lazy commands. Each expected error becomes one line on stderr."""

    def add_lazy(self, commands: Iterable[tuple[str, str, str]]) -> None:
        """Add commands. Each is its module in `ltq.cli`, its name, and its short help."""
        for module, name, short_help in commands:
            self.add_command(LazyCommand(module, name, short_help))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with one_line():
            return super().invoke(ctx)


def show_help(ctx: click.Context) -> None:
    """Print a group's help to stderr and exit with 2: the command is missing."""
    click.echo(ctx.get_help(), err=True)
    ctx.exit(2)
