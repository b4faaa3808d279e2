"""How long to wait before the next try."""

import random
from collections.abc import Callable

from ltq.options import Backoff, called_backoff, seconds

DEFAULT_BASE = 1.0
"""Longest first pause, in seconds."""

LONGEST = 600.0
"""Longest pause of the exponential backoff, in seconds."""


def next_pause(
    backoff: Backoff | None,
    failed: int,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds before the next try, after `failed` tries (1 or more) have failed.

    The pause is exponential with full jitter: anywhere between 0 and base * 2^(failed - 1), at most
    `LONGEST` (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). If
    `backoff` is a function, it returns the pause. Raises `ConfigurationError` if that is not a
    duration.
    """
    if callable(backoff):
        return called_backoff(backoff, failed)
    base = DEFAULT_BASE if backoff is None else seconds("backoff", backoff, zero=True)
    return uniform(0, min(LONGEST, base * 2.0 ** min(failed - 1, 60)))
