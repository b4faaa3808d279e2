"""`ltq doctor`, `ltq repair`: is all well with the server and what LTQ keeps there?"""

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

from ltq._names import check_name, namespace_of
from ltq.broker import DEFAULT_SCAN, Finding, Severity
from ltq.cli._console import count_tasks, open_console, print_line, safe
from ltq.cli._options import broker_url_option, json_option, open_broker
from ltq.logger import printable

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.DANGER: "bold red"}


@click.command()
@click.option(
    "--scan",
    type=click.IntRange(min=0),
    default=DEFAULT_SCAN,
    show_default=True,
    metavar="N",
    help="Look through about so many of the server's keys.",
)
@json_option
@broker_url_option
def doctor(scan: int, as_json: bool, broker_url: str | None) -> None:
    """Check the server, the queues and LTQ's keys, and say what to do.

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
    looked, done = _progress(scan)
    async with open_broker(url) as broker:
        await broker.ping()
        try:
            return await broker.examine(scan=scan, on_scan=looked), broker.url
        finally:
            done()


def _progress(limit: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Tells on a terminal how many keys were passed; and what removes that again."""
    is_told = sys.stderr.isatty()

    def looked(passed: int) -> None:
        if is_told and passed % 10_000 == 0:
            click.echo(f"\rkeys: {passed} of at most {limit}", nl=False, err=True)

    def done() -> None:
        if is_told:
            click.echo("\r\x1b[K", nl=False, err=True)

    return looked, done


def _print(console: Console, findings: Sequence[Finding]) -> None:
    if console.is_terminal:
        table = Table("severity", "check", "finding", "what to do", box=None, padding=(0, 2, 0, 0))
        for finding in findings:
            severity = Text(finding.severity, style=_STYLES[finding.severity])
            texts = (finding.name, finding.text, finding.advice)
            table.add_row(severity, *(safe(text) for text in texts))
        console.print(table)
    else:
        for finding in findings:
            click.echo(printable(_line(finding)))
    counts = Counter(finding.severity for finding in findings)
    words = [
        f"{counts[severity]} {severity}" for severity in reversed(Severity) if counts[severity]
    ]
    print_line(console, ", ".join(words))


def _line(finding: Finding) -> str:
    advice = f" -> {finding.advice}" if finding.advice else ""
    return f"{finding.severity:<8} {finding.name}: {finding.text}{advice}"


@click.command()
@click.argument("workers", nargs=-1, metavar="[WORKER]...")
@json_option
@broker_url_option
def repair(workers: tuple[str, ...], as_json: bool, broker_url: str | None) -> None:
    """Give tasks that wait or work nowhere their place back; of these workers, or of all.

    It takes an eviction, a partial restore or keys deleted by hand to need this. Workers do it by
    themselves every 10 minutes. Looks at every task, in small steps; may be repeated.

    \b
    Example:
      ltq repair github
    """
    for name in workers:
        check_name("worker", name)
    repaired = asyncio.run(_repair(workers, broker_url))
    if as_json:
        click.echo(json.dumps(repaired))
        return
    for name, count in repaired.items():
        what = f"{count_tasks(count)} put back" if count else "every task is in its place"
        click.echo(f"{name}: {what}")
    if not repaired:
        click.echo("no workers are known here")


async def _repair(workers: Sequence[str], url: str | None) -> dict[str, int]:
    async with open_broker(url) as broker:
        known = {namespace_of(queue) for queue in await broker.queues()}
        names = dict.fromkeys(workers) or sorted(known)
        return {name: await broker.repair([name]) for name in names}
