"""The whole: LTQ's own measures and the comparison, in rounds; tables, a file, a picture."""

import argparse
import asyncio
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import chart, machine, own, results, tables
from benchmarks.comparison import Record, announce
from benchmarks.contenders import (
    ALL,
    COMMON,
    ENTRANTS,
    LTQ,
    LTQ_0_4,
    ON_POSTGRES,
    ON_SQLITE,
    ROOT,
    Entrant,
)
from benchmarks.environments import (
    SetupError,
    default_folder,
    environment,
    find_node,
    find_python,
    node_environment,
)
from benchmarks.publish import publish
from benchmarks.results import Results
from benchmarks.stores import STORES, store_class
from benchmarks.stores.store import Store

COMPARED = {"drain", "send_many", "concurrent_sends", "latency", "idle"}
"""Own measures that the comparison has as well."""

LTQ_0_4_VARIABLE = "LTQ_0_4"
"""Names the requirement that stands for ltq 0.4.0: a wheel's path, where no index has it."""


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, tell. 1 if a queue that should be there could not be measured."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    kind = store_class(parsed.broker)
    known = kind.entrants
    unknown = set(parsed.names) - set(known)
    if unknown:
        parser.error(f"unknown queue {min(unknown)!r}: one of {', '.join(known)}")
    if parsed.show is not None:
        found = results.load(parsed.show)
    else:
        try:
            store = kind()
        except LookupError as error:
            parser.error(str(error))
        found = _measure(store, parsed)
        if parsed.json is not None:
            results.save(found, parsed.json)
    if parsed.chart is not None:
        chart.save(found, parsed.chart)
    if parsed.publish:
        publish(found, parsed.broker)
    tables.show(found, Console(width=None if os.isatty(1) else 140))
    failed = any(record.failures for record in found.queues.values())
    return int(failed or any(not ALL[name].optional for name in found.missing))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks peers",
        description="Measure LTQ and its peers side by side: every queue in turn, on one"
        " redis-server, each in a virtual environment with pinned versions (made at the first"
        " run, which downloads them). LTQ's own measures as well.",
        epilog=f"Queues: {', '.join(ENTRANTS)}; on SQLite: {', '.join(ON_SQLITE)}; on PostgreSQL:"
        f" {', '.join(ON_POSTGRES)}.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="these queues, and LTQ; else all")
    parser.add_argument("--broker", choices=STORES, default="redis", help="what they use")
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians are told (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw the rates")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, show a --json")
    parser.add_argument(
        "--publish", action="store_true", help="renew the file, the chart and the table of the docs"
    )
    parser.add_argument(
        "--envs", type=Path, metavar="DIR", default=default_folder(), help="environments' place"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a try")
    parser.add_argument("--only-compared", action="store_true", help="no measures of LTQ alone")
    parser.add_argument(
        "--ltq-0-4",
        metavar="REQUIREMENT",
        default=os.environ.get(LTQ_0_4_VARIABLE),
        help=f"a wheel of ltq 0.4.0, where no index has it (else ${LTQ_0_4_VARIABLE})",
    )
    parser.add_argument("--python-3-13", metavar="PATH", help="a Python for ltq 0.4.0 and Oban")
    return parser


def _measure(store: Store, parsed: argparse.Namespace) -> Results:
    wanted = [LTQ, *(name for name in parsed.names or store.entrants if name != LTQ)]
    entrants = [_adjusted(store.entrants[name], parsed.ltq_0_4) for name in wanted]
    found = Results(store.machine(), parsed.scale)
    contenders = {}
    for entrant in entrants:
        try:
            python = parsed.python_3_13 if entrant.python else None
            interpreter = _interpreter(entrant, parsed.envs, python)
        except SetupError as error:
            announce(f"{entrant.title} is left out: {error}")
            found.missing[entrant.name] = error.reason
        else:
            contenders[entrant.name] = entrant, interpreter
            found.queues[entrant.name] = Record()
    for number in range(parsed.runs):
        announce(f"round {number + 1} of {parsed.runs}")
        found.speed.append(machine.speed())
        if not parsed.only_compared:
            _measure_own(store, found)
        asyncio.run(store.compare(contenders, found.queues, scale=parsed.scale, say=announce))
    return found


def _measure_own(store: Store, found: Results) -> None:
    with store.own(found.scale) as measure:
        for name in store.measures:
            if name not in COMPARED:
                figures = measure(name)
                found.ltq.setdefault(name, []).append(figures)
                announce(f"{name:16} {own.shown(figures)}")


def _adjusted(entrant: Entrant, ltq_0_4: str | None) -> Entrant:
    if entrant.name != LTQ_0_4 or not ltq_0_4:
        return entrant
    instead = ltq_0_4 if "==" in ltq_0_4 else str(Path(ltq_0_4).resolve())
    return dataclasses.replace(entrant, requirements=(instead, *entrant.requirements[1:]))


def _interpreter(entrant: Entrant, folder: Path, python: str | None) -> str:
    """Where it is installed: an interpreter, or a program for Node. Raises `SetupError`."""
    if entrant.is_node:
        find_node()
        return node_environment(folder, ROOT / "benchmarks" / "peers" / entrant.file, announce)
    requirements = [*entrant.requirements, *COMMON]
    found = python or find_python(entrant.python)
    return environment(folder, entrant.name, requirements, found, announce)
