"""Names of queues and workers that a command was given: an unknown one is told, with those near."""

from collections.abc import Collection, Iterable

from ltq.broker import Broker
from ltq.cli._errors import CommandError
from ltq.names import check_name, namespace_of
from ltq.state import QueueStats

_SUGGESTED = 3
"""Most names that an error suggests."""

_NEAR = 0.75
"""How much two names must have in common, 1 being all."""


async def read_queue(broker: Broker, queue: str) -> QueueStats:
    """Return the counts of a queue. Raises `CommandError` if the broker does not know it."""
    (stats,) = await broker.stats([check_name("queue", queue)])
    if not (stats.pending or stats.delayed or stats.working or stats.dead):
        known = await broker.queues()
        if queue not in known:
            raise unknown_name("queue", queue, known)
    return stats


def unknown_name(kind: str, name: str, known: Collection[str]) -> CommandError:
    """The error for a name that is not among those of its kind, "queue" or "worker"."""
    near = " or ".join(suggestions(name, known))
    if near:
        hint = f"did you mean {near}?"
    else:
        hint = "`ltq stats` shows those there are" if known else "there are none yet"
    return CommandError(f"there is no {kind} '{name}': {hint}")


def suggestions(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that come near to a wrong one.

    Those that it is a part of come first, those that only have the same worker come last.
    """
    from difflib import get_close_matches  # only a wrong name needs it

    by_lower = {one.lower(): one for one in known}
    lower = name.lower()
    parts = [one for one in by_lower if lower in one.split(":")]
    near = get_close_matches(lower, by_lower, _SUGGESTED, _NEAR)
    siblings = [one for one in by_lower if namespace_of(one) == namespace_of(lower)]
    found = dict.fromkeys([*parts, *(near or siblings)])
    return [by_lower[one] for one in found][:_SUGGESTED]
