"""What an examination of a store finds, and what is right and wrong about its queues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ltq.state import QueueStats

_IDLE = 300.0
"""Seconds the oldest task of a queue may wait while no task of it runs."""

_BACKLOG = 3600.0
"""Seconds the oldest task of a queue may wait while some run."""


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """Nothing has to be done; an advice may still make things better."""
    WARNING = "warning"
    """Something is slow, stands still, or soon will."""
    DANGER = "danger"
    """Tasks may be lost, or LTQ cannot work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    """The check: `"persistence"`, `"queues"`."""
    severity: Severity
    text: str
    advice: str = ""
    """What to do, where there is something."""


def examine_queues(queues: Sequence[QueueStats]) -> list[Finding]:
    """What is wrong with queues; one finding that says so where nothing is."""
    found = [finding for queue in queues for finding in _examine_queue(queue)]
    return found or [Finding("queues", Severity.OK, f"{len(queues)} queues, none stands still")]


def _examine_queue(queue: QueueStats) -> Iterator[Finding]:
    name, worker = queue.queue, queue.queue.partition(":")[0]
    waited = queue.oldest or 0.0
    if queue.overdue:
        yield Finding(
            "leases",
            Severity.WARNING,
            f"{name}: the workers of {queue.overdue} tasks died, and no other took them over",
            f"start a worker of {worker}: it takes them over",
        )
    if waited > _IDLE and stands_still(queue):
        yield Finding(
            "queues",
            Severity.WARNING,
            f"{name}: {queue.pending} tasks wait, the oldest for {waited:.0f} s, and none runs",
            f"does a worker of {worker} run? See `ltq workers`",
        )
    elif waited > _BACKLOG:
        yield Finding(
            "queues",
            Severity.OK,
            f"{name}: {queue.pending} tasks wait, the oldest for {waited:.0f} s",
            "run more workers, or raise --concurrency",
        )
    if queue.dead:
        yield Finding("dead letters", Severity.OK, f"{name}: {queue.dead}", f"ltq dead list {name}")


def stands_still(queue: QueueStats) -> bool:
    """Whether tasks wait and no living worker runs any of the queue."""
    return queue.oldest is not None and queue.working <= queue.overdue
