"""ExponentialBackoff between attempts at something that fails for a while."""

import random


class ExponentialBackoff:
    """Each is twice the one before, from `first` to `longest` seconds, and anywhere in its later
    half, so that those who failed together do not come back together."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._pause = first

    def next(self) -> float:
        """Seconds until the next attempt."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Something succeeded: the next failure is a first one."""
        self._pause = self._first
