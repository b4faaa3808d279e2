"""Endings of tasks of workflows, kept until somebody has carried the workflow on."""

from collections.abc import Sequence

from ltq.broker.flows import HELD, Ending, ending_key, is_in_flow
from ltq.brokers._rules.flows.packed import pack_ending, unpack_ending
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.state import Status

_MOST_LOOKED = 2000
"""Most endings of which the oldest are looked for."""


def note(places: Places, record: Record, status: Status, now: float) -> bool:
    """Keep the ending of a task that ends now, if it is part of a workflow.

    Returns whether its arguments are kept for that: of a CANCELLED one, which may go on.
    """
    envelope = record.envelope
    if not is_in_flow(envelope.ctx):
        return False
    key = ending_key(record.id, record.token)
    ending = Ending(
        key=key,
        id=record.id,
        queue=record.queue,
        status=status,
        ctx=envelope.ctx,
        result=record.result or b"",
        serializer=envelope.serializer,
        body=envelope.body if record.when >= HELD and not record.status.is_final else b"",
        time=now,
    )
    places.endings.put(key, pack_ending(ending))
    return status is Status.CANCELLED


def oldest(places: Places, now: float, *, limit: int, older_than: float) -> list[Ending]:
    """Up to `limit` endings of tasks that ended `older_than` seconds ago."""
    kept = map(unpack_ending, places.endings.values(_MOST_LOOKED))
    return sorted((one for one in kept if one.time <= now - older_than), key=_time)[:limit]


def remove(places: Places, now: float, *, keys: Sequence[str]) -> None:
    """Forget endings."""
    places.endings.remove(keys)


def _time(ending: Ending) -> float:
    return ending.time
