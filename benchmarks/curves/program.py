"""`python -m benchmarks scale`: measure the curves, tell them, keep them, draw them."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import own
from benchmarks.comparison import announce
from benchmarks.curves import bodies, chart, queues, waiting, watchers, workers
from benchmarks.curves.curve import Curve, Measured, Points, load, save
from benchmarks.stores import STORES, store_class
from benchmarks.tables import number

CURVES: dict[str, Curve] = {
    module.CURVE.name: module.CURVE for module in (waiting, queues, watchers, workers, bodies)
}


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, tell."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    unknown = set(parsed.curves) - set(CURVES)
    if unknown:
        parser.error(f"unknown curve {min(unknown)!r}: one of {', '.join(CURVES)}")
    if parsed.show is not None:
        measured = load(parsed.show)
    else:
        try:
            measured = _measure(parsed)
        except LookupError as error:
            parser.error(str(error))
        if parsed.json is not None:
            save(measured, parsed.json)
    if parsed.chart is not None:
        chart.save(measured, [CURVES[name] for name in measured.curves], parsed.chart)
    console = Console()
    console.print(str(measured.machine), highlight=False)
    for name, points in measured.curves.items():
        console.print(_table(CURVES[name], points))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale",
        description="What each step costs beside more and more of something: a curve for each.",
        epilog=f"Curves: {', '.join(CURVES)}.",
    )
    parser.add_argument("curves", nargs="*", metavar="CURVE", help="these; else all")
    parser.add_argument("--broker", choices=STORES, default="redis")
    parser.add_argument("--full", action="store_true", help="up to 10 000 000: for minutes, and GB")
    parser.add_argument("--most", type=int, default=None, metavar="N", help="no size above this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw them")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, show a --json")
    return parser


def _measure(parsed: argparse.Namespace) -> Measured:
    store = store_class(parsed.broker)()
    curves: dict[str, Points] = {}
    for name in parsed.curves or CURVES:
        curve = CURVES[name]
        sizes = [*_sizes(curve, parsed.full, parsed.most)]
        announce(f"{name}: {', '.join(map(str, sizes))}")
        with store.empty() as url:
            curves[name] = own.run(curve.measure(url, sizes))
    return Measured(store.machine(), curves)


def _sizes(curve: Curve, full: bool, most: int | None) -> Iterator[int]:
    for size in curve.full if full else curve.sizes:
        if most is None or size <= most:
            yield size


def _table(curve: Curve, points: Points) -> Table:
    """A line for each size; beside each cost how it stands to that of the first one."""
    steps = [*next(iter(points.values()), {})]
    table = Table(curve.axis, title=f"{curve.name}, {curve.unit}")
    for step in steps:
        table.add_column(step, justify="right")
    first = next(iter(points.values()), {})
    for size, costs in points.items():
        shown = [f"{number(costs[step])} (× {costs[step] / first[step]:.2f})" for step in steps]
        table.add_row(f"{size:,}", *shown)
    return table
