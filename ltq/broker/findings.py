"""What an examination of a broker finds, and the checks of its queues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ltq.state import QueueStats

_IDLE = 300.0
"""Seconds the oldest task of a queue may wait while none of its tasks runs."""

_BACKLOG = 3600.0
"""Seconds the oldest task of a queue may wait while some of its tasks run."""

_MOST_NAMED = 5
"""Most names of unknown tasks that are told of a queue."""


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
    text = f"queues: {len(queues)}, none stands still"
    if queues:
        text += f"; {_alive_text(queues)}"
    return found or [Finding("queues", Severity.OK, text)]


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
    standstill = standstill_text(queue, _IDLE)
    if queue.paused:
        severity = Severity.WARNING if waited > _BACKLOG else Severity.OK
        yield Finding("paused", severity, paused_text(queue), f"`ltq resume {name}` lets it go on")
    elif standstill:
        yield Finding(
            "queues",
            Severity.WARNING,
            standstill,
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
    if queue.unserved:
        yield Finding(
            "unknown tasks",
            Severity.WARNING,
            unserved_text(queue),
            "start a worker that declares them, or name them in the option `aliases` of the tasks "
            "that have replaced them",
        )
    if queue.dead:
        text, advice = f"{name}: {queue.dead}", f"look at them with `ltq dead list {name}`"
        yield Finding("dead letters", Severity.OK, text, advice)


def stands_still(queue: QueueStats) -> bool:
    """Whether tasks of a queue wait and no living worker runs one. They may if it is paused."""
    return queue.oldest is not None and queue.working <= queue.overdue and not queue.paused


def standstill_text(queue: QueueStats, patience: float) -> str:
    """Says that due tasks of a queue have waited for longer than `patience` seconds; or is empty.

    That is a standstill if none of its tasks runs, or if no live worker has served it for so long.
    Tasks that no live worker knows are left out: `unserved_text` tells of them. A paused queue does
    not stand still: `paused_text` tells of it.
    """
    if queue.paused:
        return ""
    waited, known = queue.oldest or 0.0, queue.pending - sum(queue.unserved.values())
    is_running = queue.working > queue.overdue
    is_alone = not is_running if queue.served_ago is None else queue.served_ago > patience
    if waited > patience and known > 0 and (is_alone or not is_running):
        running = f"{queue.working} running" if is_running else "none running"
        text = f"{_waiting(queue, waited)}, {running}"
    elif (queue.unswept or 0.0) > patience and not queue.is_served:
        text = f"tasks are due, the first for {queue.unswept:.0f} s"
    else:
        return ""
    return f"{queue.queue} stands still: {text}{_alone_text(queue)}"


def _alive_text(queues: Sequence[QueueStats]) -> str:
    """Says how many queues live workers serve."""
    served = sum(queue.is_served for queue in queues)
    return f"live workers serve {served} of them" if served else "no worker is alive"


def _alone_text(queue: QueueStats) -> str:
    if queue.served_ago is None:
        return "; no live worker was seen within a day"
    return f"; no live worker for {queue.served_ago:.0f} s" if queue.served_ago else ""


def paused_text(queue: QueueStats) -> str:
    """Says that a queue is paused, and what waits in it."""
    waited = f": {_waiting(queue, queue.oldest)}" if queue.oldest is not None else ""
    return f"{queue.queue} is paused{waited}"


def unserved_text(queue: QueueStats) -> str:
    """A line that names the tasks of a queue which no live worker knows, and how many wait.

    `task/serializer` are tasks of which no live worker knows the serializer.
    """
    named = sorted(queue.unserved)[:_MOST_NAMED]
    more = ", ..." if len(queue.unserved) > len(named) else ""
    names = ", ".join(f"{name} ({queue.unserved[name]} waiting)" for name in named)
    return f"{queue.queue}: no live worker knows {names}{more}"


def _waiting(queue: QueueStats, seconds: float) -> str:
    return f"{_tasks(queue.pending)} waiting, the oldest for {seconds:.0f} s"


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
