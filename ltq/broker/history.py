"""The history of queues: what happened in each minute of the last day.

A broker keeps the figures of a minute as whole numbers by name. What it adds to them is from
`wait_figures`, `run_figures` and the statuses; `minute_of` reads them. Durations are counted in
buckets, four for each doubling, from 0.1 ms on. Percentiles are interpolated within a bucket, so
the exact value is in the same bucket: the error is at most 2 ** (1/4) - 1, which is 19 %.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Protocol

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.names import check_name
from ltq.state import Durations, Minute

HISTORY_MINUTES = 1440
"""Minutes that a history goes back: a day."""

FIRST_BUCKET = 1e-4
"""Seconds at which bucket 0 ends, which begins at 0."""

BUCKETS_A_DOUBLING = 4
LAST_BUCKET = 132
"""What took longer than almost ten days is counted in this bucket, too."""

_DOUBLING = [FIRST_BUCKET * 2 ** (part / BUCKETS_A_DOUBLING) for part in range(BUCKETS_A_DOUBLING)]
_ENDS: list[float] = [
    _DOUBLING[bucket % BUCKETS_A_DOUBLING] * 2 ** (bucket // BUCKETS_A_DOUBLING)
    for bucket in range(LAST_BUCKET + 1)
]
"""The seconds at which each bucket ends, and the next one begins."""

MAX_DURATION = 1e9
"""Seconds above which a duration counts as 0: a clock was set, or a time is spoilt."""


class Historian(Protocol):
    """Remembers what happened in each minute.

    Something is counted once, in the minute in which it was recorded by the broker's clock, also if
    a call is repeated after a lost reply. A broker may be told by its URL to count nothing.
    """

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        """What happened in a queue in the last `minutes` minutes (1 to 1440), the oldest first.

        There is one `Minute` for each, also if nothing happened. The last one is the present
        minute, which is not over. Raises `ConfigurationError` for what is no name of a queue or no
        such number.
        """
        ...


def check_history(queue: str, minutes: object) -> None:
    """Raise `ConfigurationError` for what is no name of a queue, or no number of minutes."""
    check_name("queue", queue)
    is_number = isinstance(minutes, int) and not isinstance(minutes, bool)
    if not (is_number and minutes in range(1, HISTORY_MINUTES + 1)):
        raise ConfigurationError(
            f"minutes={short_repr(minutes)} is not allowed: "
            f"a whole number from 1 to {HISTORY_MINUTES}"
        )


def minute_at(now: float) -> int:
    """The number of the minute of a time in Unix seconds."""
    return int(now // 60)


def bucket_of(seconds: float) -> int:
    """The bucket that a duration is counted in."""
    return bisect_right(_ENDS, seconds, hi=LAST_BUCKET)


def wait_figures(*seconds: float) -> dict[str, int]:
    """What a claim adds to the figures of its minute: how long each of its tasks has waited."""
    return _figures("w", seconds)


def run_figures(*seconds: float) -> dict[str, int]:
    """What outcomes add to the figures of their minute: how long each run took."""
    return _figures("r", seconds)


def minute_of(minute: int, figures: Mapping[str, int]) -> Minute:
    """What happened in a minute, from its figures. Names that are no figure are left out."""
    return Minute(
        time=60.0 * minute,
        completed=figures.get("completed", 0),
        failed=figures.get("failed", 0),
        rejected=figures.get("rejected", 0),
        cancelled=figures.get("cancelled", 0),
        retried=figures.get("retried", 0),
        wait=_durations("w", figures),
        run=_durations("r", figures),
    )


def _figures(kind: str, durations: Sequence[float]) -> dict[str, int]:
    counted = [seconds if 0 < seconds < MAX_DURATION else 0.0 for seconds in durations]
    # As `bucket_of` of each, without a call of Python's for each.
    buckets = Counter(map(bisect_right, repeat(_ENDS), counted, repeat(0), repeat(LAST_BUCKET)))
    figures = {f"{kind}{bucket}": many for bucket, many in buckets.items()}
    figures[f"{kind}s"] = sum([round(seconds * 1e6) for seconds in counted])
    return figures


def _durations(kind: str, figures: Mapping[str, int]) -> Durations:
    if not figures:  # most minutes of most queues
        return _NO_DURATIONS
    found = [
        (int(name[1:]), many)
        for name, many in figures.items()
        if many > 0 and name[:1] == kind and name[1:].isdecimal()
    ]
    buckets = sorted(one for one in found if one[0] <= LAST_BUCKET)
    count = sum(many for _, many in buckets)
    if count == 0:
        return _NO_DURATIONS
    total = max(0, figures.get(f"{kind}s", 0)) / 1e6
    p50, p95, p99 = (_percentile(buckets, share * count) for share in (0.5, 0.95, 0.99))
    return Durations(count, total, p50, p95, p99)


_NO_DURATIONS = Durations()


def _percentile(buckets: list[tuple[int, int]], rank: float) -> float:
    """The duration at a rank, if those of a bucket are spread evenly over it."""
    below = 0
    for bucket, many in buckets[:-1]:
        if rank <= below + many:
            return _within(bucket, (rank - below) / many)
        below += many
    bucket, many = buckets[-1]
    return _within(bucket, (rank - below) / many)


def _within(bucket: int, share: float) -> float:
    low, high = (_ENDS[bucket - 1] if bucket else 0.0), _ENDS[bucket]
    return low + share * (high - low)
