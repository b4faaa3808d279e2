"""How quickly the tasks of a queue end: they are counted in steps of a few seconds."""

from ltq.brokers._rules.constants import THROUGHPUT_STEP, THROUGHPUT_STEPS
from ltq.brokers._rules.places import Places


def mark(places: Places, queue: str, now: float) -> None:
    """Count a task of a queue that has ended in a worker."""
    step = int(now // THROUGHPUT_STEP)
    places.end_counts.add(queue, step, oldest=step - THROUGHPUT_STEPS + 1)


def rate(places: Places, queue: str, now: float) -> float:
    """Tasks a second that ended in the last minute."""
    last = int(now // THROUGHPUT_STEP)
    first = last - THROUGHPUT_STEPS + 1
    return places.end_counts.total(queue, first, last) / (now - first * THROUGHPUT_STEP)
