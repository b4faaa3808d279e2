"""How long to wait before the next try."""

import random
from collections.abc import Callable

from ltq.options import Backoff, called_backoff, seconds

DEFAULT_BASE = 1.0
"""Seconds of the first pause, at most."""

LONGEST = 600.0
"""Seconds of the longest pause that is computed."""


def next_pause(
    backoff: Backoff | None,
    failed: int,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds before the next try, after `failed` tries (1 or more) have failed.

    Exponential with full jitter: anywhere between 0 and base * 2^(failed - 1), at most `LONGEST`
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A function decides
    itself. Raises `ConfigurationError` if what it returns is not a duration.
    """
    if callable(backoff):
        return called_backoff(backoff, failed)
    base = DEFAULT_BASE if backoff is None else seconds("backoff", backoff)
    return uniform(0, min(LONGEST, base * 2.0 ** min(failed - 1, 60)))
