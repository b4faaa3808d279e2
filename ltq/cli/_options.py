"""Options that several commands share."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from ltq._display.values import short_repr
from ltq.cli._completion.brokers import complete_broker
from ltq.cli._errors import CommandError


def each_once(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out what an argument names again. It is the callback of such an argument."""
    return tuple(dict.fromkeys(values))


broker_url_option = click.option(
    "--broker-url",
    "--redis-url",
    "broker_url",
    metavar="URL",
    shell_complete=complete_broker,
    help="The broker, a URL or @NAME. Default: $LTQ_BROKER_URL, else the primary named broker, "
    "else redis://localhost:6379.",
)
ids_argument = click.argument("ids", metavar="ID...", nargs=-1, required=True, callback=each_once)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
log_level_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error", "critical"), case_sensitive=False),
    default="info",
    show_default=True,
    help="The lowest level to log to stderr.",
)
log_format_option = click.option(
    "--log-format",
    type=click.Choice(("text", "json"), case_sensitive=False),
    default="text",
    show_default=True,
    help="Log lines for people, or one JSON object per line.",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")

MIN_TIMEOUT = 0.1
"""Fewest seconds that a command may be told to wait for something."""

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Return the seconds in `90`, `30s`, `15m`, `2h` or `7d`. It is the type of an option."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text, re.ASCII)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time: use seconds, or 30s, 15m, 2h, 7d")
    return float(match[1]) * _UNITS[match[2]]


def duration_from(least: float) -> Callable[[str], float]:
    """Return the type of an option that is a `duration` of at least so many seconds."""

    def long_enough(text: str) -> float:
        seconds = duration(text)
        if seconds < least:
            raise click.BadParameter(f"{text!r} is too short: at least {least:g} s")
        return seconds

    return long_enough


def json_value(text: str) -> Any:
    """Parse JSON. It is the type of an option."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{short_repr(text)} is not JSON: {error}") from error


def must_confirm(yes: bool) -> bool:
    """Whether to ask for confirmation: stdin is a terminal, and `--yes` is not given."""
    return not yes and sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, *, refusal: str = "nothing was removed") -> None:
    """Ask before something is removed. Raises `CommandError` if the answer is no."""
    if not click.confirm(question, err=True):
        raise CommandError(refusal)
