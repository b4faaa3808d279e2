"""How much a queue does: tasks that ended lately, by steps of a few seconds, and its last day, by
minutes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Ended:
    """The tasks of one namespace whose runs ended by themselves in one step."""

    last: list[Record] = field(default_factory=list)
    """Those that are final."""
    statuses: Counter[tuple[str, Status]] = field(default_factory=Counter)
    """How many of them ended, by queue and status."""
    retried: list[Record] = field(default_factory=list)


def claimed(places: Places, records: Iterable[Record], now: float) -> None:
    """Ready tasks are claimed now: count how long each has waited."""
    if places.history is not None:  # this spares the counting
        for queue, some in _by_queue(records).items():
            waits = [now - record.waits_since for record in some]
            _add(places, queue, wait_figures(*waits), now)


def unclaimed(places: Places, record: Record) -> None:
    """A claim is undone: take out how long its task had waited."""
    claimed_at = record.last_dequeue_time
    if places.history is not None and claimed_at is not None:
        figures = wait_figures(claimed_at - record.waits_since)
        _add(places, record.queue, {name: -many for name, many in figures.items()}, claimed_at)


def have_run(places: Places, ended: Ended, now: float) -> None:
    """Runs have ended now: count how long each took, and how many tasks are final or retried."""
    step = int(now // THROUGHPUT_STEP)
    for queue, some in _by_queue(ended.last).items():
        places.end_counts.add(queue, step, len(some), oldest=step - THROUGHPUT_STEPS + 1)
        _add(places, queue, _runs(some, now), now)
    for (queue, status), many in ended.statuses.items():
        settled(places, queue, status, now, many)
    for queue, some in _by_queue(ended.retried).items():
        _add(places, queue, {**_runs(some, now), "retried": len(some)}, now)


def settled(places: Places, queue: str, status: Status, now: float, many: int = 1) -> None:
    """Tasks of a queue have become final."""
    _add(places, queue, {status.value: many}, now)


def minutes(places: Places, queue: str, count: int, now: float) -> list[Minute]:
    """The last minutes of a queue, the oldest first."""
    last = minute_at(now)
    numbers = range(last - count + 1, last + 1)
    if places.history is None:
        return [minute_of(number, {}) for number in numbers]
    found = places.history.read(queue, numbers[0], last)
    return [minute_of(number, found.get(number, {})) for number in numbers]


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


def _by_queue(records: Iterable[Record]) -> dict[str, list[Record]]:
    queues: dict[str, list[Record]] = {}
    for record in records:
        queues.setdefault(record.envelope.queue, []).append(record)
    return queues


def _runs(records: Iterable[Record], now: float) -> Mapping[str, int]:
    began = [record.last_dequeue_time for record in records]
    return run_figures(*[0.0 if time is None else now - time for time in began])


def _add(places: Places, queue: str, figures: Mapping[str, int], now: float) -> None:
    minute = minute_at(now)
    if places.history is not None:
        places.history.add(queue, minute, figures, oldest=minute - HISTORY_MINUTES + 1)
