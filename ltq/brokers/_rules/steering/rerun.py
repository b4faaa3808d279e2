"""Final tasks run again, as new tasks."""

from collections.abc import Sequence

from msgspec.structs import replace

from ltq.broker.reruns import NOT_KEPT, check_reruns, not_final
from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.retention import find
from ltq.errors import TaskNotFoundError


def rerun(
    places: Places, queue: str, ids: Sequence[str], new_ids: Sequence[str], now: float
) -> None:
    """Send final tasks once more, with new ids, or none of them. Raises what says why."""
    places.records.load(ids)
    records = [find(places, task_id, now) for task_id in ids]
    found = [one for one in records if one is not None and one.queue == queue]
    if len(found) < len(ids):
        known = {one.id for one in found}
        raise TaskNotFoundError(next(task_id for task_id in ids if task_id not in known))
    check_reruns({one.id: why for one in found if (why := _why_not(one))})
    for record, new_id in zip(found, new_ids, strict=True):
        sent = replace(record.envelope, id=new_id, delay=0.0, eta=None, fingerprint="")
        serializer = record.body_serializer or sent.serializer
        moves.enqueue(places, Record(replace(sent, serializer=serializer), enqueue_time=now))


def _why_not(record: Record) -> str | None:
    if not record.status.is_final:
        return not_final(record.status)
    return None if record.keeps_body else NOT_KEPT
