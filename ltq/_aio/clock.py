"""Time, so that it can be handed in."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives Unix seconds."""

system_clock: Clock = time.time
