"""`ltq doctor`: findings about a broker, each with advice."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltq.broker import DEFAULT_SCAN, Finding, Severity
from ltq.cli._broker import open_broker
from ltq.cli._console import open_console, print_line, safe
from ltq.cli._options import broker_url_option, json_option
from ltq.logger import printable

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.DANGER: "bold red"}

_PROGRESS_EVERY = 10_000
"""Keys between two lines of progress."""


@click.command()
@click.option(
    "--scan",
    type=click.IntRange(min=0),
    default=DEFAULT_SCAN,
    show_default=True,
    metavar="N",
    help="Look through about N of the server's keys; 0 skips them.",
)
@json_option
@broker_url_option
def doctor(scan: int, as_json: bool, broker_url: str | None) -> None:
    """Examine the broker, its queues and its keys, and give advice.

    Nothing is changed. The exit code is 1 if tasks may be lost or LTQ cannot work there, else 0.

    \b
    Example:
      ltq doctor --json
    """
    findings, url = asyncio.run(_examine(broker_url, scan))
    in_danger = any(finding.severity is Severity.DANGER for finding in findings)
    if as_json:
        shown = {
            "url": url,
            "ok": not in_danger,
            "findings": [asdict(finding) for finding in findings],
        }
        click.echo(json.dumps(shown))
    else:
        _print(open_console(), findings)
    sys.exit(1 if in_danger else 0)


async def _examine(url: str | None, scan: int) -> tuple[list[Finding], str]:
    show, erase = _progress(scan)
    async with open_broker(url) as broker:
        await broker.ping()
        try:
            return await broker.examine(scan=scan, on_scan=show), broker.url
        finally:
            erase()


def _progress(limit: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Return two functions: one shows how many keys were read, one erases that. On a terminal."""
    is_shown = sys.stderr.isatty()

    def show(passed: int) -> None:
        if is_shown and passed % _PROGRESS_EVERY == 0:
            click.echo(f"\rkeys: {passed} of at most {limit}", nl=False, err=True)

    def erase() -> None:
        if is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    return show, erase


def _print(console: Console, findings: Sequence[Finding]) -> None:
    if console.is_terminal:
        console.print(_table(findings))
    else:
        for finding in findings:
            click.echo(printable(_line(finding)))
    print_line(console, _summary(findings))


def _table(findings: Sequence[Finding]) -> Table:
    """Return a table that fits 80 columns: each advice is below its finding."""
    table = Table("severity", "check", "finding", box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        text = safe(finding.text)
        if finding.advice:
            text.append_text(Text("\n-> ")).append_text(safe(finding.advice))
        table.add_row(severity, safe(finding.name), text)
    return table


def _line(finding: Finding) -> str:
    advice = f" -> {finding.advice}" if finding.advice else ""
    return f"{finding.severity:<8} {finding.name}: {finding.text}{advice}"


def _summary(findings: Sequence[Finding]) -> str:
    """Count the findings by severity, and those that are ok but have an advice."""
    counts = Counter(finding.severity for finding in findings)
    words = [f"{counts[one]} {one}" for one in reversed(Severity) if counts[one]]
    advised = sum(bool(one.advice) for one in findings if one.severity is Severity.OK)
    return ", ".join(words) + (f" ({advised} with advice)" if advised else "")
