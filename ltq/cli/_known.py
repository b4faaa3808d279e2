"""Names of queues and workers that a command was given: an unknown one is told, with those near."""

from collections.abc import Iterable

from ltq.broker import Broker
from ltq.cli._errors import CommandError
from ltq.names import check_name
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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> CommandError:
    """The error for a name that is not among those of its kind."""
    near = " or ".join(suggestions(name, known))
    return CommandError(f"there is no {kind} '{name}'{f': did you mean {near}?' if near else ''}")


def suggestions(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that come near to a wrong one: those it is a part of come first."""
    from difflib import get_close_matches  # only a wrong name needs it

    by_lower = {one.lower(): one for one in known}
    lower = name.lower()
    parts = [one for one in by_lower if lower in one.split(":")]
    near = get_close_matches(lower, by_lower, _SUGGESTED, _NEAR)
    found = dict.fromkeys([*parts, *near])
    return [by_lower[one] for one in found][:_SUGGESTED]
