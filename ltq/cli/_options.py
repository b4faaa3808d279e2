"""Options that several commands have, and the broker they name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from ltq.broker import Broker
from ltq.logger import printable
from ltq.worker import default_broker_url

broker_url_option = click.option(
    "--broker-url",
    "--redis-url",
    "broker_url",
    metavar="URL",
    help="Where the tasks are. Default: $LTQ_BROKER_URL, else redis://localhost:6379.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@asynccontextmanager
async def open_broker(url: str | None) -> AsyncIterator[Broker]:
    """The broker at a URL, or the default one; closed afterwards."""
    broker = Broker.from_url(url or default_broker_url())
    if broker.is_local:
        warn_local(broker)
    async with broker:
        yield broker


def warn_local(broker: Broker) -> None:
    """Say that nobody else sees what is in this broker."""
    where = printable(broker.url)
    click.echo(
        f"ltq: warning: {where} is this process's own: no other process can reach it", err=True
    )
