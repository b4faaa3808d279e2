"""The comparison for the documents: its file, its chart, and its table in `docs/performance.md`."""

import re
from pathlib import Path

from benchmarks import chart, results
from benchmarks.contenders import LTQ, ROOT
from benchmarks.results import Results
from benchmarks.tables import title, without

DOCS = ROOT / "docs"

HEADS = (
    "drained/s",
    "sent/s, 500 a call",
    "sent/s, 32 loops",
    "sent/s, one by one",
    "send → result, ms (median, p99)",
    "{idle}",
    "what it does not do here",
)

IDLE = {
    "redis": "idle: commands/s, % of a core",
    "sqlite": "idle: % of a core",
    "postgres": "idle: statements/s, % of a core",
}
"""What an idle worker costs, by the store."""


def publish(found: Results, store: str, docs: Path = DOCS) -> None:
    """Renew all three. Only the comparison on Redis has a chart."""
    ending = "" if store == "redis" else f"-{store}"
    results.save(found, docs / f"benchmarks{ending}.json")
    if store == "redis":
        chart.save(found, docs / "benchmarks.svg")
    page = docs / "performance.md"
    page.write_text(renewed(page.read_text("utf-8"), store, table(found, store)), "utf-8")


def renewed(page: str, store: str, text: str) -> str:
    """A page with another table for a store, between the comments that mark its place."""
    begin, end = f"<!-- the comparison on {store} -->", "<!-- ends here -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    place = f"{begin}\n\n{text}\n\n{end}"
    changed, many = pattern.subn(lambda _: place, page)
    assert many == 1, f"the page has {many} places for {store}"
    return changed


def table(found: Results, store: str) -> str:
    """A line for each queue."""
    heads = " | ".join(HEADS).format(idle=IDLE[store])
    lines = [f"| | {heads} |", "| --- " * (len(HEADS) + 1) + "|"]
    for name in found.queues:
        rates = [
            _rate(found.median(name, measure, "tasks/s"))
            for measure in ("drain", "bulk", "loops", "one")
        ]
        pairs = [
            _pair(found, name, "latency", "median ms", "p99 ms"),
            _pair(found, name, "idle", "commands/s", "% of a core"),
        ]
        shown = f"**{title(name)}**" if name == LTQ else title(name)
        lines.append(f"| {' | '.join([shown, *rates, *pairs, without(name)])} |")
    return "\n".join(lines)


def _rate(rate: float | None) -> str:
    """Three digits or more, in groups."""
    return "–" if rate is None else f"{round(rate, -1):,.0f}".replace(",", " ")


def _pair(found: Results, name: str, measure: str, first: str, second: str) -> str:
    """Two figures of a measure, as far as there are any."""
    values = [found.median(name, measure, figure) for figure in (first, second)]
    known = [value for value in values if value is not None]
    return ", ".join(f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in known) or "–"
