"""Time and chance, so that they can be given."""

import random
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives seconds: Unix time, or (`time.monotonic`) time that never goes back."""

system_clock: Clock = time.time

Jitter = Callable[[float], float]
"""Gives a pause somewhat shorter than the one asked for, in seconds."""


def jittered(seconds: float) -> float:
    """Anywhere in the later half of a pause: those who failed together return apart."""
    return seconds * random.uniform(0.5, 1.0)
