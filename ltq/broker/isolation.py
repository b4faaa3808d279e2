"""Which tasks may run beside others: one that workers died under is isolated, step by step."""

from ltq.options import DEFAULT_MAX_DELIVERIES

ISOLATION = 5.0
"""Seconds a worker keeps slots empty for a task that needs isolation, before and while it runs."""


def isolation_of(deaths: int, max_deliveries: int | None = None) -> int | None:
    """How many tasks, itself among them, may run in the process of one that workers died under.

    None: any number. A task that kills its process takes its neighbours along, and they must not
    share its fate again and again: a task that one more death would bury runs alone, one that
    survives another death among 10, and so on.
    """
    if deaths <= 0:
        return None
    left = (max_deliveries or DEFAULT_MAX_DELIVERIES) - 1 - deaths
    return int(10 ** min(max(left, 0), 9))


class ClaimBudget:
    """How many tasks one claim may still give, beside `running` others of the same process.

    A task that its workers died under limits how many may run beside it, and so what comes with
    it. With `ignore_isolation` the first such task is taken although more run already.
    """

    def __init__(self, limit: int, running: int, ignore_isolation: bool = False) -> None:
        self.room: int = limit
        """How many more may be given; negative where some were given once more."""
        self.refused: int | None = None
        """The smallest isolation that a task needs which was left."""
        self.running: int = 0 if ignore_isolation else running
        """What runs beside the next one, as far as isolation counts it."""
        self.ignores_isolation: bool = ignore_isolation
        """Until one was taken that needs isolation."""

    def takes(self, isolation: int | None) -> bool:
        """Take in a task that needs such isolation, if it fits."""
        if isolation is not None and not self.ignores_isolation and self.running >= isolation:
            self.refused = min(isolation, self.refused or isolation)
            return False
        self.join(isolation)
        return True

    def join(self, isolation: int | None) -> None:
        """Take in a task that needs such isolation, and was given already."""
        if isolation is not None and self.ignores_isolation:
            self.ignores_isolation = False
        elif isolation is not None:
            self.room = min(self.room, isolation - self.running)
        self.room -= 1
        self.running += 1
