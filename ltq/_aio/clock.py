"""Time and chance, as functions that tests can replace."""

import random
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds: Unix time, or time that never goes back (`time.monotonic`)."""

system_clock: Clock = time.time

Jitter = Callable[[float], float]
"""Returns a pause somewhat shorter than the one it is given, both in seconds."""


def jittered(seconds: float) -> float:
    """A random time in the later half of a pause: callers that failed together spread out."""
    return seconds * random.uniform(0.5, 1.0)
