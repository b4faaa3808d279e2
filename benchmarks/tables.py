"""The figures for the eye: two tables."""

from rich.console import Console
from rich.table import Table

from benchmarks.comparison import medians
from benchmarks.contenders import ALL, LTQ
from benchmarks.goals import best_peer, verdicts
from benchmarks.results import Results

COLUMNS = (
    ("drain", "tasks/s", "drained/s"),
    ("bulk", "tasks/s", "sent/s in bulk"),
    ("loops", "tasks/s", "sent/s by 32 loops"),
    ("one", "tasks/s", "sent/s one by one"),
    ("latency", "median ms", "send → result, ms"),
    ("latency", "p99 ms", "p99 ms"),
    ("idle", "commands/s", "idle commands/s"),
    ("idle", "% of a core", "idle % of a core"),
)


def number(value: float | None) -> str:
    """Short, and in columns comparable."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def title(name: str) -> str:
    """What a queue is called."""
    return ALL[name].title if name in ALL else name


def without(name: str) -> str:
    """What a queue does not do, of what LTQ does in the same run."""
    return ALL[name].without if name in ALL else ""


def show(results: Results, console: Console) -> None:
    """Print what there is."""
    console.print(f"{results.machine}; medians", highlight=False)
    if results.speed:
        told = "   ".join(f"{key} {number(value)}" for key, value in medians(results.speed).items())
        console.print(f"the machine by itself: {told}", highlight=False)
    if results.queues:
        console.print(comparison(results))
        for name in filter(without, results.queues):
            console.print(f"{title(name)}: {without(name)}", highlight=False)
    if results.ltq:
        console.print(own(results))
    console.print(goals(results))
    for name, reason in results.missing.items():
        console.print(f"{title(name)} is missing: {reason}", highlight=False, markup=False)


def comparison(results: Results) -> Table:
    """A line for each queue, and how LTQ stands to the best peer."""
    table = Table("", title="LTQ and its peers")
    for _, _, head in COLUMNS:
        table.add_column(head, justify="right")
    for name in results.queues:
        figures = [number(results.median(name, measure, key)) for measure, key, _ in COLUMNS]
        table.add_row(title(name), *figures, style="bold" if name == LTQ else "")
    table.add_section()
    table.add_row("LTQ / best peer", *(_ratio(results, *column[:2]) for column in COLUMNS))
    return table


def _ratio(results: Results, measure: str, figure: str) -> str:
    is_rate = figure == "tasks/s"
    mine = results.median(LTQ, measure, figure)
    best = best_peer(results, measure, figure, max if is_rate else min)
    return "–" if mine is None or not best else f"× {mine / best:.3g}"


def own(results: Results) -> Table:
    """A line for each of LTQ's own measures."""
    table = Table("measure", "figures", title="LTQ alone")
    for measure, runs in results.ltq.items():
        table.add_row(measure, "   ".join(f"{k} {number(v)}" for k, v in medians(runs).items()))
    return table


def goals(results: Results) -> Table:
    """A line for each goal."""
    table = Table("measure", "figure", "goal", "", title="Goals (ratios of one run count)")
    marks = {True: "[green]met[/]", False: "[red]not met[/]", None: "–"}
    for verdict in verdicts(results):
        table.add_row(verdict.measure, verdict.figure, verdict.goal, marks[verdict.is_met])
    return table
