"""Completing the names of queues, which the broker knows."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click
from click.shell_completion import CompletionItem

from ltq.broker.default import broker_at

_BROKER_PATIENCE = 1.0
"""Seconds that the broker has for its answer. Nobody waits longer for a completion."""


def complete_queue(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The queues whose names begin like this; none if the broker does not answer.

    It is the `shell_complete` of an argument or option.
    """
    url = ctx.params.get("broker_url")
    with _silent():
        try:
            names = asyncio.run(_names(url))
        except Exception:  # whatever it is, nobody wants to read it between two words of a command
            return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_queue_of_all(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The same after `--all`; without it ids are wanted, which nobody completes."""
    return complete_queue(ctx, param, incomplete) if ctx.params.get("select_all") else []


async def _names(url: str | None) -> list[str]:
    async with asyncio.timeout(_BROKER_PATIENCE), broker_at(url or None) as broker:
        return await broker.queues()


@contextmanager
def _silent() -> Iterator[None]:
    """Log nothing: a shell shows stderr in the middle of the command line."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
