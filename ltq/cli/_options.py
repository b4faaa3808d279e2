"""Options that several commands share."""

import re
import sys

import click

from ltq.cli._errors import CommandError

broker_url_option = click.option(
    "--broker-url",
    "--redis-url",
    "broker_url",
    metavar="URL",
    help="The broker. Default: $LTQ_BROKER_URL, else redis://localhost:6379.",
)
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

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Return the seconds in `90`, `30s`, `15m`, `2h` or `7d`. It is the type of an option."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text, re.ASCII)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time: use seconds, or 30s, 15m, 2h, 7d")
    return float(match[1]) * _UNITS[match[2]]


def must_confirm(yes: bool) -> bool:
    """Whether to ask for confirmation: stdin is a terminal, and `--yes` is not given."""
    return not yes and sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> None:
    """Ask before something is removed. Raises `CommandError` if the answer is no."""
    if not click.confirm(question, err=True):
        raise CommandError("nothing was removed")
