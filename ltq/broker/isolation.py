"""Poison: a task that workers die under is isolated step by step, and buried in the end.

This module says how many deaths such a task has left, how many tasks may run beside it, and what
its error is in the end.
"""

from ltq.message import Failure
from ltq.options import DEFAULT_MAX_DELIVERIES

ISOLATION = 5.0
"""Seconds a worker keeps slots empty for a task that needs isolation, before and while it runs."""

ISOLATION_BASE = 10
"""For each further death that a task would survive, this many times as many tasks may run beside
it."""

MAX_ISOLATION_STEPS = 9
"""Further deaths than these make no difference: a billion tasks is as good as no limit."""

KILLED_ONCE = "killed its worker once"
"""The error of a task that is buried after the first death of a worker."""

KILLED_TIMES = "killed its worker %s times"
"""The error after more deaths: `KILLED_TIMES % deaths`."""


def cause_of_death(deaths: int) -> Failure:
    """The failure of a task that is buried for so many deaths."""
    return Failure("", KILLED_ONCE if deaths == 1 else KILLED_TIMES % deaths)


def deaths_left(deaths: int, max_deliveries: int | None = None) -> int:
    """How many more workers may die under a task; at 0 or less it has to be buried."""
    return (max_deliveries or DEFAULT_MAX_DELIVERIES) - deaths


def isolation_of(deaths: int, max_deliveries: int | None = None) -> int | None:
    """How many tasks may run in one process beside a task that workers died under, with itself.

    None means no limit. A task that kills its process takes its neighbours along, and they must not
    suffer again and again. So a task that one more death would bury runs alone, one that survives
    another death runs among 10, and so on.
    """
    if deaths <= 0:
        return None
    survives = max(0, deaths_left(deaths, max_deliveries) - 1)
    return int(ISOLATION_BASE ** min(survives, MAX_ISOLATION_STEPS))


class ClaimBudget:
    """How many tasks one claim may still give, beside `running` others of the same process.

    A task that workers died under limits how many may run beside it, and so how many come with it.
    With `ignore_isolation` one such task is given even if more than that are running.
    """

    def __init__(self, limit: int, running: int, ignore_isolation: bool = False) -> None:
        self.room: int = limit
        """How many more may be given."""
        self.refused: int | None = None
        """The smallest isolation that a refused task needs."""
        self.running: int = 0 if ignore_isolation else running
        """How many tasks run beside the next one, for the rule of isolation."""
        self.ignores_isolation: bool = ignore_isolation
        """Whether the next task that needs isolation is given without it. That holds for one."""

    def takes(self, isolation: int | None) -> bool:
        """Return whether a task with this isolation may be given; if it may, count it."""
        if isolation is None and self.room > 0:  # nearly always: as `join` does
            self.room -= 1
            self.running += 1
            return True
        if isolation is None or self.ignores_isolation or self.running < isolation:
            self.join(isolation)
            return True
        self.refused = min(isolation, self.refused or isolation)
        return False

    def join(self, isolation: int | None) -> None:
        """Count a task with this isolation that is given in any case."""
        if isolation is not None:
            if not self.ignores_isolation:
                self.room = min(self.room, isolation - self.running)
            self.ignores_isolation = False
        self.room = max(0, self.room - 1)
        self.running += 1
