"""What an examination of a broker finds, and the checks of its queues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ltq.state import QueueStats

_IDLE = 300.0
"""Seconds the oldest task of a queue may wait while none of its tasks runs."""

_BACKLOG = 3600.0
"""Seconds the oldest task of a queue may wait while some of its tasks run."""


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """Nothing has to be done. Following the advice, if there is any, makes things better."""
    WARNING = "warning"
    """Something is slow or has come to a halt, or soon will."""
    DANGER = "danger"
    """Tasks may be lost, or LTQ cannot work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    """The name of the check, such as `"persistence"` or `"queues"`."""
    severity: Severity
    text: str
    advice: str = ""
    """What to do; empty if there is nothing to do."""


def examine_queues(queues: Sequence[QueueStats]) -> list[Finding]:
    """Return what is wrong with queues, or one finding that says that nothing is."""
    found = [finding for queue in queues for finding in _examine_queue(queue)]
    return found or [Finding("queues", Severity.OK, f"queues: {len(queues)}, none stands still")]


def _examine_queue(queue: QueueStats) -> Iterator[Finding]:
    name, worker = queue.queue, queue.queue.partition(":")[0]
    waited = queue.oldest or 0.0
    if queue.overdue:
        yield Finding(
            "leases",
            Severity.WARNING,
            f"{name}: the workers of {_tasks(queue.overdue)} died, and no other took over",
            f"start a worker of {worker}: it takes over",
        )
    if waited > _IDLE and stands_still(queue):
        yield Finding(
            "queues",
            Severity.WARNING,
            f"{name} stands still: {_waiting(queue, waited)}, none running",
            f"start a worker of {worker}, or find out why it does not claim; if the task has "
            "another name now, its option `aliases` takes the old one",
        )
    elif waited > _BACKLOG:
        yield Finding(
            "queues",
            Severity.OK,
            f"{name}: {_waiting(queue, waited)}",
            "run more workers, or raise --concurrency",
        )
    if queue.dead:
        text, advice = f"{name}: {queue.dead}", f"look at them with `ltq dead list {name}`"
        yield Finding("dead letters", Severity.OK, text, advice)


def stands_still(queue: QueueStats) -> bool:
    """Whether tasks of a queue wait and no living worker runs one."""
    return queue.oldest is not None and queue.working <= queue.overdue


def _waiting(queue: QueueStats, seconds: float) -> str:
    return f"{_tasks(queue.pending)} waiting, the oldest for {seconds:.0f} s"


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
