"""What the figures shall be. Goals inform; no run fails because of one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.contenders import LTQ, LTQ_0_4
from benchmarks.results import Results

BARE_QUEUES = {"torrelque", "persist-queue"}
"""Without a worker: raw, batched. They are told, not counted among the peers."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one figure stands to its goal."""

    measure: str
    figure: str
    """What is compared with the goal, in words."""
    goal: str
    is_met: bool | None
    """None where something to compare with is missing."""


def verdicts(results: Results) -> Iterator[Verdict]:
    """All goals for which LTQ has figures."""
    yield from _against_peers(results)
    for measure, figure, unit, most, least in _own_goals(results):
        value = results.own(measure, figure)
        if value is None:
            value = results.median(LTQ, measure, figure)
        if value is not None:
            goal = f"≥ {least:,g}{unit}" if least is not None else f"≤ {most:,g}{unit}"
            is_met = value >= least if least is not None else most is None or value <= most
            yield Verdict(f"{measure}: {figure}", f"{value:,.4g}{unit}", goal, is_met)


_RATES = (
    ("drain", 10.0, 5.0, 25_000.0),
    ("bulk", 5.0, None, 50_000.0),
    ("loops", 2.0, None, None),
    ("one", None, 1.0, None),
)
"""The measure, and how many times the best peer, ltq 0.4.0, and tasks a second are wanted."""

_RATES_ON_FILES = (("drain", 8.0, None, 15_000.0), ("bulk", None, None, 40_000.0))

_RATES_ON_POSTGRES = (("drain", 1.3, None, 12_000.0), ("bulk", None, None, 35_000.0))

_Own = tuple[tuple[str, str, str, float | None, float | None], ...]

_OWN: _Own = (
    ("one_send", "ratio", " × HSET", None, 0.7),
    ("latency", "median ms", " ms", 1.0, None),
    ("latency", "p99 ms", " ms", 3.0, None),
    ("lateness", "p99 ms", " ms", 10.0, None),
    ("waiters", "lost", "", 0.0, None),
    ("waiters", "Pub/Sub connections", "", 1.0, None),
    ("many_waiting", "ratio", " ×", None, 0.9),
    ("idle", "% of a core", " %", 1.0, None),
    ("idle", "commands/s", " /s", 1.0, None),
    ("memory", "bytes waiting", " B", 450.0, None),
    ("memory", "bytes finished", " B", 400.0, None),
    ("listing", "first page ms", " ms", 20.0, None),
    ("listing", "later page ms", " ms", 20.0, None),
    ("steering", "longest script ms", " ms", 10.0, None),
    ("steering", "stats ms", " ms", 50.0, None),
    ("steering", "pause ms", " ms", 50.0, None),
    ("floor", "ratio", " × bare loop", None, 0.5),
)
"""The measure, its figure, the unit, the most and the least there may be."""


_OWN_ON_FILES: _Own = (
    ("answered", "median ms", " ms", 3.0, None),
    ("idle", "% of a core", " %", 1.0, None),
    ("many_waiting", "claim ×", " ×", 1.2, None),
    ("many_waiting", "send ×", " ×", 1.2, None),
    ("many_waiting", "bulk ×", " ×", 1.2, None),
)


_OWN_ON_POSTGRES: _Own = (
    ("latency", "median ms", " ms", 6.0, None),
    ("answered", "median ms", " ms", 6.0, None),
    ("idle", "% of a core", " %", 1.0, None),
    ("idle", "commands/s", " /s", 1.0, None),
    ("many_waiting", "claim ×", " ×", 1.2, None),
    ("many_waiting", "send ×", " ×", 1.2, None),
    ("many_waiting", "bulk ×", " ×", 1.2, None),
    ("open_snapshot", "ratio", " ×", None, 0.6),
    ("counts", "large ms", " ms", 50.0, None),
    ("counts", "many ms", " ms", 50.0, None),
)


def _own_goals(results: Results) -> _Own:
    if results.machine.postgres:
        return _OWN_ON_POSTGRES
    return _OWN_ON_FILES if results.machine.sqlite else _OWN


def _rate_goals(
    results: Results,
) -> tuple[tuple[str, float | None, float | None, float | None], ...]:
    if results.machine.postgres:
        return _RATES_ON_POSTGRES
    return _RATES_ON_FILES if results.machine.sqlite else _RATES


def best_peer(
    results: Results, measure: str, figure: str, best: Callable[..., float] = max
) -> float | None:
    """The best figure of those that have workers, ltq 0.4.0 aside."""
    names = results.queues.keys() - BARE_QUEUES - {LTQ, LTQ_0_4}
    figures = (results.median(name, measure, figure) for name in names)
    return best((value for value in figures if value is not None), default=None)


def _against_peers(results: Results) -> Iterator[Verdict]:
    for measure, times_best, times_old, least in _rate_goals(results):
        rate = results.median(LTQ, measure, "tasks/s")
        if rate is None:
            continue
        if least is not None:
            yield Verdict(measure, f"{rate:,.0f}/s", f"≥ {least:,.0f}/s", rate >= least)
        best = best_peer(results, measure, "tasks/s")
        old = results.median(LTQ_0_4, measure, "tasks/s")
        for whom, times, other in (("best peer", times_best, best), ("ltq 0.4.0", times_old, old)):
            if times is not None:
                goal = f"≥ {times:g} × {whom}"
                ratio = None if not other else rate / other
                shown = "nothing to compare" if ratio is None else f"{ratio:.3g} × {whom}"
                yield Verdict(measure, shown, goal, None if ratio is None else ratio >= times)
