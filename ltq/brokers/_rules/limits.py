"""The limits of a lane: how many tasks may start in a time, and how many may run at once."""

from math import inf

from ltq.brokers._rules.constants import RECHECK
from ltq.brokers._rules.places import Lane
from ltq.options import Limit, Rate


def next_start(lane: Lane, limit: Limit, now: float) -> float:
    """When a lane's limit may let the next task start; -inf if it has no limit.

    If another task has to end first, that time is unknown. The lane is then tried again after
    `RECHECK` seconds, and a wake-up comes as soon as a task ends.
    """
    if limit.running is not None and lane.working >= limit.running:
        return now + RECHECK
    if limit.rate is None:
        return -inf
    # The generic cell rate algorithm: a burst may start before the limit is unused again.
    return lane.unused_from - (limit.rate.burst - 1) * limit.rate.interval


def spend(lane: Lane, rate: Rate, now: float) -> None:
    """Count a start against a lane's rate limit."""
    lane.unused_from = max(lane.unused_from, now) + rate.interval
