"""Endings of tasks of workflows, kept until somebody has carried the workflow on."""

from collections.abc import Sequence

from ltq.broker.flows import Ending
from ltq.broker.flows.packed import unpack_ending
from ltq.brokers._rules.places import Places

_MOST_LOOKED = 2000
"""Most endings of which the oldest are looked for."""

_MOST_BYTES = 64 * 1024 * 1024
"""Bytes of endings from which no further one is read. What follows a run may be large."""


def oldest(places: Places, now: float, *, limit: int, older_than: float) -> list[Ending]:
    """Up to `limit` endings of tasks that ended `older_than` seconds ago."""
    kept = map(unpack_ending, places.endings.values(_MOST_LOOKED, _MOST_BYTES))
    return sorted((one for one in kept if one.time <= now - older_than), key=_time)[:limit]


def remove(places: Places, now: float, *, keys: Sequence[str]) -> None:
    """Forget endings."""
    places.endings.remove(keys)


def _time(ending: Ending) -> float:
    return ending.time
