"""The memory broker's counts of tasks that ended lately, of one namespace."""

from collections import Counter, defaultdict

_STEP = 10
"""Seconds counted together."""

_STEPS = 6
"""How many steps make a minute: the present one, and those before."""


class Throughput:
    """How quickly tasks end. The store calls it under its lock and tells it the time."""

    def __init__(self) -> None:
        self._ended: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def mark(self, queue: str, now: float) -> None:
        """A task of a queue ended."""
        ended, last = self._ended[queue], int(now // _STEP)
        ended[last] += 1
        if len(ended) > _STEPS:
            for step in [step for step in ended if not last - _STEPS < step <= last]:
                del ended[step]

    def rate(self, queue: str, now: float) -> float:
        """Tasks a second that ended in the last minute."""
        last = int(now // _STEP)
        first = last - _STEPS + 1
        ended = self._ended.get(queue, Counter[int]())
        return sum(ended[step] for step in range(first, last + 1)) / (now - first * _STEP)
