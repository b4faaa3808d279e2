"""The last minutes of a queue, drawn as one line for each figure."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from ltq._display.durations import measured_text
from ltq.cli._console import Cell, print_columns, print_line
from ltq.state import Durations, Minute

_MOST_COLUMNS = 48
"""Most characters of a line: with its names and numbers it fits a terminal of 80 columns."""

_BARS, _BARS_IN_ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"

_COUNTS = ("completed", "failed", "rejected", "cancelled", "retried")
_PERCENTILES = ("p50", "p95", "p99")

Values = Sequence[float | None]
"""One for each minute; None if it has none."""


def print_history(console: Console, queue: str, minutes: Sequence[Minute]) -> None:
    """Print the minutes of a queue, the oldest first."""
    if all(minute == Minute(time=minute.time) for minute in minutes):
        print_line(console, f"{queue}: nothing has happened in the last {_count(len(minutes))}")
        return
    step = -(-len(minutes) // _MOST_COLUMNS)
    bars = _BARS if console.encoding.lower().startswith("utf") else _BARS_IN_ASCII
    begin, end = _clock(minutes[0].time), _clock(minutes[-1].time)
    print_line(console, f"{queue}, {begin} to {end}; a column is {_count(step)}")
    rows: list[list[Cell]] = []
    for name in _COUNTS:
        numbers: list[int] = [getattr(minute, name) for minute in minutes]
        shown = [str(max(numbers)), str(sum(numbers))]
        rows.append([name, _line(numbers, step, bars, _sum), *shown])
    _print(console, ("", "", "most", "total"), rows)
    rows = []
    for kind in ("wait", "run"):
        durations: list[Durations] = [getattr(minute, kind) for minute in minutes]
        for name in _PERCENTILES:
            values: list[float | None] = [getattr(one, name) for one in durations]
            known = [value for value in values if value is not None]
            shown = [measured_text(max(known)), measured_text(known[-1])] if known else ["", ""]
            rows.append([f"{kind} {name}", _line(values, step, bars, max), *shown])
    _print(console, ("", "", "most", "last"), rows)


def _print(console: Console, head: Sequence[str], rows: list[list[Cell]]) -> None:
    """Print lines with two numbers each, so that those of all figures stand below each other."""
    padded = [
        [f"{name!s:<9}", line, f"{one!s:>8}", f"{other!s:>8}"] for name, line, one, other in rows
    ]
    print_columns(console, head, [[*row] for row in padded], left={0, 1})


def _line(values: Values, step: int, bars: str, join: Callable[[Sequence[float]], float]) -> Text:
    """One bar for each `step` minutes, counted from the end; a space where nothing happened."""
    first = len(values) % step or step
    ends = range(first, len(values) + 1, step)
    parts = [values[max(0, end - step) : end] for end in ends]
    known = [[value for value in part if value] for part in parts]
    joined = [join(part) if part else 0.0 for part in known]
    highest = max(joined) or 1.0
    drawn = (
        bars[min(len(bars) - 1, int(len(bars) * value / highest))] if value else " "
        for value in joined
    )
    return Text("".join(drawn), style="cyan")


def _sum(values: Sequence[float]) -> float:
    return sum(values)


def _count(minutes: int) -> str:
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _clock(time: float) -> str:
    """A time as a local clock shows it."""
    return datetime.fromtimestamp(time).strftime("%H:%M")
