"""What a whole run found, as it is kept in a file: nothing in it tells whose machine it was."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cores
from benchmarks.comparison import Record, medians
from benchmarks.peers.measures import Figures


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it ran."""

    cpus: int
    python: str
    redis: str
    """The version of the server; empty if that was no Redis."""
    system: str
    sqlite: str = ""
    postgres: str = ""
    has_apart: bool = False
    """Whether servers and those who use them had cores of their own."""

    @classmethod
    def here(cls, *, redis: str = "", sqlite: str = "", postgres: str = "") -> "Machine":
        """This machine, with this version of the store."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        system = f"{platform.system()} {platform.machine()}"
        python = platform.python_version()
        return cls(cpus or 1, python, redis, system, sqlite, postgres, cores.are_enough())

    def __str__(self) -> str:
        stores = {"Redis": self.redis, "SQLite": self.sqlite, "PostgreSQL": self.postgres}
        store = ", ".join(f"{name} {version}" for name, version in stores.items() if version)
        return f"{self.cpus} CPUs, {self.system}, {store}, Python {self.python}"


@dataclass(slots=True)
class Results:
    """All figures of a run."""

    machine: Machine
    scale: float = 1.0
    queues: dict[str, Record] = field(default_factory=dict)
    """The comparison, by the queue's name."""
    ltq: dict[str, list[Figures]] = field(default_factory=dict)
    """The runs of LTQ's own measures."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a queue was not measured at all."""
    speed: list[Figures] = field(default_factory=list)
    """How quick the machine was by itself before each round."""

    def median(self, queue: str, measure: str, figure: str) -> float | None:
        """One figure of the comparison; None if there is none."""
        record = self.queues.get(queue)
        return None if record is None else record.medians(measure).get(figure)

    def own(self, measure: str, figure: str) -> float | None:
        """One figure of LTQ's own measures; None if there is none."""
        return medians(self.ltq.get(measure, [])).get(figure)


def save(results: Results, path: Path) -> None:
    """Write them as JSON: medians, for who reads, and all runs."""
    told = {
        "machine": asdict(results.machine),
        "scale": results.scale,
        "medians": {
            "comparison": {
                name: {measure: rounded(record.runs[measure]) for measure in record.runs}
                for name, record in results.queues.items()
            },
            "ltq": {measure: rounded(runs) for measure, runs in results.ltq.items()},
        },
        "missing": results.missing,
        "speed": results.speed,
        "queues": {
            name: {"python": record.python, "versions": record.versions, "runs": record.runs}
            | ({"failed": sorted(record.failures)} if record.failures else {})
            for name, record in results.queues.items()
        },
        "ltq": results.ltq,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    told = json.loads(path.read_text("utf-8"))
    return Results(
        machine=Machine(**told["machine"]),
        scale=told["scale"],
        queues={name: _record(kept) for name, kept in told["queues"].items()},
        ltq=told["ltq"],
        missing=told["missing"],
        speed=told.get("speed", []),
    )


def _record(kept: Mapping[str, Any]) -> Record:
    failures = dict.fromkeys(kept.get("failed", ()), "failed")
    return Record(kept["python"], kept["versions"], kept["runs"], failures)


def rounded(runs: Sequence[Figures]) -> Figures:
    """The medians with four digits."""
    return {name: float(f"{value:.4g}") for name, value in medians(runs).items()}
