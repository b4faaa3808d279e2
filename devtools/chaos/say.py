"""What the command prints: lines at once, and tables."""

import sys
from collections.abc import Sequence


def say(text: str) -> None:
    """One line, seen at once also where the output goes to a file."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Names and values, one line each."""
    width = max((len(name) for name, _ in rows), default=0)
    say(title)
    for name, value in rows:
        shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        say(f"  {name:<{width}}  {shown}")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
