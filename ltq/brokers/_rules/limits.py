"""The limits of a lane: how many tasks may start in a time, and how many may run at once.

The rate is a leaky bucket, like the generic cell rate algorithm: each start fills it by one, and in
an interval one runs out. A burst fits in.
"""

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
    rate = limit.rate
    if rate is None or lane.used_at > now:  # the clock was set back: nothing else is known
        return -inf
    return lane.used_at + (_filled(lane, rate) - (rate.burst - 1)) * rate.interval


def spend(lane: Lane, rate: Rate, now: float) -> None:
    """Count a start against a lane's rate limit."""
    passed = (now - lane.used_at) / rate.interval
    used = 0.0 if passed < 0 else max(0.0, _filled(lane, rate) - passed)
    lane.used, lane.used_at = used + 1, now


def _filled(lane: Lane, rate: Rate) -> float:
    """How full it was when the last task started: by another rate there may have been more."""
    return min(lane.used, rate.burst)
