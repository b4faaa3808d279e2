"""Options that several commands have, and the broker they name."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from ltq.broker import Broker
from ltq.cli._errors import CommandError
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
log_level_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error", "critical"), case_sensitive=False),
    default="info",
    show_default=True,
    help="What to log to stderr.",
)
log_format_option = click.option(
    "--log-format",
    type=click.Choice(("text", "json"), case_sensitive=False),
    default="text",
    show_default=True,
    help="Lines for people, or a JSON object a line.",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """The type of an option: seconds, from `90`, `30s`, `15m`, `2h`, `7d`."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text, re.ASCII)
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration: one is like 90, 30s, 15m, 2h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def is_asked(yes: bool) -> bool:
    """Whether somebody is there to be asked, and did not say yes already."""
    return not yes and sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> None:
    """Ask before something is removed; end the command if the answer is no."""
    if not click.confirm(question, err=True):
        raise CommandError("nothing was removed")


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
