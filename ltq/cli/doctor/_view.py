"""What `ltq doctor` has found out, for people and for programs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltq.broker import Finding, Severity
from ltq.cli._console import print_line, safe

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.DANGER: "bold red"}


@dataclass(frozen=True, slots=True)
class Examined:
    """One broker, and what was found out about it."""

    name: str
    """Empty if only this one was asked for."""
    url: str | None
    """Without user and password; None if its name stands for no URL."""
    round_trip: float | None
    """Seconds; None if it does not answer."""
    findings: Sequence[Finding]

    @property
    def is_ok(self) -> bool:
        """Whether nothing is a danger."""
        return all(finding.severity is not Severity.DANGER for finding in self.findings)


def as_json_of(examined: Sequence[Examined]) -> dict[str, Any]:
    """One broker, or all of them, each with its name."""
    shown = [
        {
            **({"name": one.name} if one.name else {}),
            "url": one.url,
            "ok": one.is_ok,
            "round_trip": one.round_trip,
            "findings": [asdict(finding) for finding in one.findings],
        }
        for one in examined
    ]
    if not examined[0].name:
        return shown[0]
    return {"ok": all(one.is_ok for one in examined), "brokers": shown}


def print_examined(console: Console, examined: Sequence[Examined]) -> None:
    """Print the findings, below the name of their broker if there may be several."""
    for one in examined:
        if one.name:
            head = f"{one.name}  {one.url}" if one.url else one.name
            print_line(console, Text.assemble(safe(head), style="bold"))
        if console.is_terminal:
            console.print(_table(one.findings))
        else:
            for finding in one.findings:
                print_line(console, _line(finding))
        if one.name:
            print_line(console, "")
    print_line(console, _summary([finding for one in examined for finding in one.findings]))


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
