"""A curve: what steps cost beside more and more of something, and how it is kept in a file."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Machine
from benchmarks.stand import Figures

Points = dict[int, Figures]
"""By how much there is, what each step costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One thing of which there may be much."""

    name: str
    axis: str
    """What there is much of."""
    unit: str
    """Of the costs."""
    sizes: Sequence[int]
    full: Sequence[int]
    """Those for figures that are told: they take minutes, and gigabytes of memory."""
    measure: Callable[[str, Sequence[int]], Awaitable[Points]]
    """Measures on an empty store with this URL. More stores are in databases beside: `place`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run found."""

    machine: Machine
    curves: Mapping[str, Points]


def place(url: str, number: int) -> str:
    """The URL of another empty store of the same kind: on its server, or a file beside.

    There are 15 of them.
    """
    if url.startswith("sqlite:"):
        return f"{url}-{number}"
    if url.startswith("postgresql:"):
        return f"{url}?schema=place{number}&migrate=auto"
    return f"{url.rpartition('/')[0]}/{number + 1}"


def save(measured: Measured, path: Path) -> None:
    """Write it as JSON."""
    rounded = {
        name: {
            str(size): {step: float(f"{cost:.4g}") for step, cost in costs.items()}
            for size, costs in points.items()
        }
        for name, points in measured.curves.items()
    }
    told = {"machine": asdict(measured.machine), "curves": rounded}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def load(path: Path) -> Measured:
    """Read what `save` wrote."""
    told: Any = json.loads(path.read_text("utf-8"))
    curves = {
        name: {int(size): costs for size, costs in points.items()}
        for name, points in told["curves"].items()
    }
    return Measured(Machine(**told["machine"]), curves)
