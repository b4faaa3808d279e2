"""Pauses between attempts at something that fails for a while."""

from ltq._aio.clock import Jitter, jittered


class ExponentialBackoff:
    """Pauses that double from `first` to `longest` seconds, each shortened by some jitter."""

    def __init__(self, first: float, longest: float, *, jitter: Jitter = jittered) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._pause = first

    def next(self) -> float:
        """Seconds until the next attempt."""
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return self._jitter(pause)

    def reset(self) -> None:
        """Start again with the first pause: an attempt succeeded."""
        self._pause = self._first
