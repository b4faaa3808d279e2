"""Completing the names of brokers."""

import click
from click.shell_completion import CompletionItem

from ltq.broker._named.resolve import broker_names
from ltq.errors import ConfigurationError


def complete_broker(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The `shell_complete` of `--broker-url`: each `@name` that is known here, no URLs."""
    try:
        names = [f"@{name}" for name in broker_names()]
    except ConfigurationError:  # nobody wants to read it between two words of a command
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
