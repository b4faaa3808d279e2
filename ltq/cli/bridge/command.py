"""`ltq bridge`: from RabbitMQ into its store, without a worker."""

import asyncio
import logging
from collections.abc import Sequence

import click

from ltq._aio.signals import stop_on_signals
from ltq.cli._broker import open_broker
from ltq.cli._early_signals import EarlySignals
from ltq.cli._errors import CommandError
from ltq.cli._options import broker_url_option, log_format_option, log_level_option
from ltq.logger import get_logger, setup_logging

logger: logging.Logger = get_logger("cli")


@click.command()
@click.argument("workers", nargs=-1, required=True, metavar="WORKER...")
@log_level_option
@log_format_option
@broker_url_option
def bridge(
    workers: tuple[str, ...], log_level: str, log_format: str, broker_url: str | None
) -> None:
    """Write what is sent to these workers through RabbitMQ into its store, until SIGTERM or Ctrl-C.

    Every worker with an amqp:// URL does so by itself. This is for those whose workers use the
    store's own URL, and for stores that are to have all while no worker runs. Any number may run.

    \b
    Example:
      ltq bridge shop mail --broker-url 'amqp://localhost/?state=redis://localhost:6379'
    """
    with EarlySignals().around():
        setup_logging(log_level, as_json=log_format == "json")
        asyncio.run(_bridge(workers, broker_url))


async def _bridge(workers: Sequence[str], url: str | None) -> None:
    stopped = asyncio.Event()
    with stop_on_signals(lambda _: stopped.set()):
        async with open_broker(url) as broker:
            if not broker.url.startswith("amqp"):
                raise CommandError(f"{broker.url} needs no bridge: only amqp:// has RabbitMQ")
            await broker.ping()
            # An open consumer empties the queues of its workers; one that claims nothing does no
            # more than that.
            async with broker.consumer(workers):
                logger.info("bridge of %s to %s", ", ".join(workers), broker.url)
                await stopped.wait()
