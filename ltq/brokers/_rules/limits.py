"""What limits a lane: so many starts in a time, and so many tasks that run at once."""

from math import inf

from ltq.brokers._rules.constants import RECHECK
from ltq.brokers._rules.places import Lane
from ltq.options import Limit, Rate


def next_start(lane: Lane, limit: Limit, now: float) -> float:
    """When a lane's limit may let the next task start; -inf where nothing limits it.

    Where others must end first nobody knows when: a wake-up comes sooner than the time given.
    """
    if limit.running is not None and lane.working >= limit.running:
        return now + RECHECK
    if limit.rate is None:
        return -inf
    # The generic cell rate algorithm: the allowance of a burst before the limit is unused.
    return lane.unused_from - (limit.rate.burst - 1) * limit.rate.interval


def spend(lane: Lane, rate: Rate, now: float) -> None:
    """Count a start against a lane's rate limit."""
    lane.unused_from = max(lane.unused_from, now) + rate.interval
