"""Names of queues and workers that a command was given: an unknown one is told, with those near."""

from collections.abc import Collection, Iterable, Sequence

from ltq._display.suggestions import near_names
from ltq.broker import Broker
from ltq.cli._errors import CommandError
from ltq.names import check_name
from ltq.state import QueueStats

_SHOWN_BY = {
    "queue": "`ltq stats` shows those there are",
    "worker": "`ltq stats` shows all queues, whose names begin with those of their workers",
}
"""By what is named, where all there are can be seen."""


async def read_queue(broker: Broker, queue: str) -> QueueStats:
    """Return the counts of a queue. Raises `CommandError` if the broker does not know it."""
    (stats,) = await broker.stats([check_name("queue", queue)])
    if not (stats.pending or stats.delayed or stats.working or stats.dead):
        known = await broker.queues()
        if queue not in known:
            raise unknown_name("queue", queue, known)
    return stats


async def check_queues(broker: Broker, queues: Sequence[str]) -> None:
    """Raise one `CommandError` for all of these queues that the broker does not know."""
    known = await broker.queues()
    unknown = [name for name in queues if check_name("queue", name) not in known]
    if unknown:
        raise unknown_names("queue", unknown, known)


def unknown_names(kind: str, names: Iterable[str], known: Collection[str]) -> CommandError:
    """The error for several such names."""
    return CommandError("; ".join(unknown_name(kind, name, known).message for name in names))


def unknown_name(kind: str, name: str, known: Collection[str]) -> CommandError:
    """The error for a name that is not among those of its kind: queue or worker."""
    near = " or ".join(near_names(name, known))
    shown_by = _SHOWN_BY[kind] if known else "there are none yet"
    hint = f"did you mean {near}?" if near else shown_by
    return CommandError(f"there is no {kind} '{name}': {hint}")
