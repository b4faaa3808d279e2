"""Commands that are imported when they are called: `ltq --help` need not know what Redis is."""

import importlib
from collections.abc import Iterable
from typing import Any

import click

from ltq.cli._errors import one_line


class LazyCommand(click.Command):
    """What the help and a shell's completion tell of a command that is not imported yet."""

    def __init__(self, module: str, name: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._place = module, name

    def load(self) -> click.Command:
        """The command itself."""
        module, name = self._place
        command: click.Command = getattr(importlib.import_module(f"ltq.cli.{module}"), name)
        return command


class LazyGroup(click.Group):
    """Commands in the order they were given; what goes wrong is told in one line."""

    def add_lazy(self, commands: Iterable[tuple[str, str, str]]) -> None:
        """Add commands: the module in `ltq.cli`, its command's name, and what it does."""
        for module, name, short_help in commands:
            self.add_command(LazyCommand(module, name, short_help))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

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
