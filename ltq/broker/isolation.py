"""Poison: a task that workers die under is isolated step by step, and buried in the end.

Here is how many deaths it has left, and how many tasks may run beside it.
"""

from ltq.options import DEFAULT_MAX_DELIVERIES

ISOLATION = 5.0
"""Seconds a worker keeps slots empty for a task that needs isolation, before and while it runs."""


ISOLATION_BASE = 10
"""By this factor more tasks may run beside one for each further death that it would survive."""

MAX_ISOLATION_STEPS = 9
"""Deaths beyond this many make no difference: a billion tasks are as good as any number."""


def deaths_left(deaths: int, max_deliveries: int | None = None) -> int:
    """How many more workers may die under a task until it is buried; 0 or less: it is to be."""
    return (max_deliveries or DEFAULT_MAX_DELIVERIES) - deaths


def isolation_of(deaths: int, max_deliveries: int | None = None) -> int | None:
    """How many tasks, itself among them, may run in the process of one that workers died under.

    None: any number. A task that kills its process takes its neighbours along, and they must not
    share its fate again and again: a task that one more death would bury runs alone, one that
    survives another death among 10, and so on.
    """
    if deaths <= 0:
        return None
    survives = max(0, deaths_left(deaths, max_deliveries) - 1)
    return int(ISOLATION_BASE ** min(survives, MAX_ISOLATION_STEPS))


class ClaimBudget:
    """How many tasks one claim may still give, beside `running` others of the same process.

    A task that workers died under limits how many may run beside it, and so how many come with it.
    With `ignore_isolation` the first such task is taken although more run already.
    """

    def __init__(self, limit: int, running: int, ignore_isolation: bool = False) -> None:
        self.room: int = limit
        """How many more may be given; negative where more than `limit` were given again."""
        self.refused: int | None = None
        """The smallest isolation that a refused task needs."""
        self.running: int = 0 if ignore_isolation else running
        """What runs beside the next task, as far as isolation counts it."""
        self.ignores_isolation: bool = ignore_isolation
        """True until a task was taken that needs isolation."""

    def takes(self, isolation: int | None) -> bool:
        """Whether a task with this isolation fits; if so, it counts from now on."""
        if isolation is not None and not self.ignores_isolation and self.running >= isolation:
            self.refused = min(isolation, self.refused or isolation)
            return False
        self.join(isolation)
        return True

    def join(self, isolation: int | None) -> None:
        """Count a task with this isolation that was given already."""
        if isolation is not None and self.ignores_isolation:
            self.ignores_isolation = False
        elif isolation is not None:
            self.room = min(self.room, isolation - self.running)
        self.room -= 1
        self.running += 1
