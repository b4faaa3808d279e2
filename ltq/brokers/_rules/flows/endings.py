"""Endings of tasks of workflows, kept until somebody has carried the workflow on."""

from collections.abc import Sequence

from ltq.broker.flows import HELD, Ending, ending_key, is_in_flow
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.state import Status


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
    places.endings.set(key, ending, expires=HELD, now=now)
    return status is Status.CANCELLED


def oldest(places: Places, now: float, *, limit: int, older_than: float) -> list[Ending]:
    """Up to `limit` endings of tasks that ended `older_than` seconds ago."""
    old = (one for one in places.endings.values(now) if one.time <= now - older_than)
    return sorted(old, key=_time)[:limit]


def remove(places: Places, now: float, *, keys: Sequence[str]) -> None:
    """Forget endings."""
    for key in keys:
        places.endings.remove(key)


def _time(ending: Ending) -> float:
    return ending.time
