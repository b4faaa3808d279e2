"""How much a queue does: tasks that ended lately, by steps of a few seconds, and its last day, by
minutes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ltq.broker.history import (
    HISTORY_MINUTES,
    minute_at,
    minute_of,
    run_figures,
    wait_figures,
)
from ltq.brokers._rules.constants import THROUGHPUT_LATELY, THROUGHPUT_STEP, THROUGHPUT_STEPS
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.state import Minute, Status


class Rates(NamedTuple):
    """Tasks a second that ended in the last minute, and in the last ten seconds."""

    minute: float
    lately: float


def claimed(places: Places, record: Record, now: float) -> None:
    """A ready task is claimed now: count how long it has waited."""
    if places.history is not None:  # this spares the counting
        _add(places, record.queue, wait_figures(now - record.waits_since), now)


def unclaimed(places: Places, record: Record) -> None:
    """A claim is undone: take out how long its task had waited."""
    claimed_at = record.last_dequeue_time
    if places.history is not None and claimed_at is not None:
        figures = wait_figures(claimed_at - record.waits_since)
        _add(places, record.queue, {name: -many for name, many in figures.items()}, claimed_at)


def has_run(places: Places, record: Record, now: float, *, retried: bool) -> None:
    """A run of a task has ended by itself now, and is retried or was the last."""
    if places.history is not None:
        began = now if record.last_dequeue_time is None else record.last_dequeue_time
        figures = run_figures(now - began)
        _add(places, record.queue, {**figures, "retried": 1} if retried else figures, now)


def ended(places: Places, queue: str, status: Status, now: float) -> None:
    """A task of a queue has become final."""
    if places.history is not None:
        _add(places, queue, {status.value: 1}, now)


def minutes(places: Places, queue: str, count: int, now: float) -> list[Minute]:
    """The last minutes of a queue, the oldest first."""
    last = minute_at(now)
    numbers = range(last - count + 1, last + 1)
    if places.history is None:
        return [minute_of(number, {}) for number in numbers]
    found = places.history.read(queue, numbers[0], last)
    return [minute_of(number, found.get(number, {})) for number in numbers]


def mark(places: Places, queue: str, now: float) -> None:
    """Count a task of a queue that has ended in a worker."""
    step = int(now // THROUGHPUT_STEP)
    places.end_counts.add(queue, step, oldest=step - THROUGHPUT_STEPS + 1)


def rates(places: Places, queues: Sequence[str], now: float) -> dict[str, Rates]:
    """How quickly the tasks of each queue end."""
    minute, lately = (
        _rates(places, queues, steps, now) for steps in (THROUGHPUT_STEPS, THROUGHPUT_LATELY)
    )
    return {queue: Rates(minute.get(queue, 0.0), lately.get(queue, 0.0)) for queue in queues}


def _rates(places: Places, queues: Sequence[str], steps: int, now: float) -> dict[str, float]:
    last = int(now // THROUGHPUT_STEP)
    first = last - steps + 1
    duration = now - first * THROUGHPUT_STEP
    totals = places.end_counts.totals(queues, first, last)
    return {queue: many / duration for queue, many in totals.items()}


def _add(places: Places, queue: str, figures: Mapping[str, int], now: float) -> None:
    minute = minute_at(now)
    if places.history is not None:
        places.history.add(queue, minute, figures, oldest=minute - HISTORY_MINUTES + 1)
