"""Dead letters: tasks that failed or were rejected, kept for a look and a replay."""

from collections.abc import Iterable, Mapping, Sequence

from ltq.brokers._rules import moves
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers._rules.retention import find
from ltq.message import DeadLetter, Published
from ltq.options import DEAD_TTL, MAX_DEAD
from ltq.state import Status


def bury(places: Places, record: Record, status: Status, now: float) -> None:
    """Keep a dead letter of a task that is about to end."""
    places.dead.put(DeadRecord.of(record, status, now), most=MAX_DEAD)


def counts(places: Places, queues: Sequence[str], now: float) -> Mapping[str, int]:
    """How many dead letters each queue has. Those that are left out have none."""
    return places.dead.counts(queues, now - DEAD_TTL)


def newest(places: Places, queue: str, limit: int, offset: int, now: float) -> list[DeadLetter]:
    """Up to `limit` letters of a queue, the newest first, without the `offset` newest."""
    dead = places.dead.newest(queue, now - DEAD_TTL, max(0, limit), max(0, offset))
    return [one.letter() for one in dead]


def get(places: Places, queue: str | None, task_id: str, now: float) -> DeadLetter | None:
    """The letter of one task in a queue, or in any queue if that is None."""
    dead = find_dead(places, queue, task_id, now)
    return None if dead is None else dead.letter()


def replay(places: Places, queue: str, ids: Iterable[str], now: float) -> dict[str, Published]:
    """Enqueue dead tasks of a queue again, now, as they were sent. Returns the answer by id."""
    once = dict.fromkeys(ids)
    places.records.load(once)
    return {task_id: _replay_one(places, queue, task_id, now) for task_id in once}


def purge(
    places: Places, queue: str, ids: Sequence[str] | None, older_than: float, now: float
) -> int:
    """Remove letters with these ids (None: all) of tasks that died `older_than` seconds ago."""
    wanted = None if ids is None else set(ids)
    return places.dead.remove(queue, wanted, now - DEAD_TTL, now - older_than)


def find_dead(places: Places, queue: str | None, task_id: str, now: float) -> DeadRecord | None:
    dead = places.dead.get(task_id, now - DEAD_TTL)
    return dead if dead is not None and queue in (None, dead.record.queue) else None


def _replay_one(places: Places, queue: str, task_id: str, now: float) -> Published:
    dead = find_dead(places, queue, task_id, now)
    if dead is None:
        return Published.GONE
    old = find(places, task_id, now)
    if old is not None and not old.status.is_final:
        return Published.EXISTS
    if old is not None:
        moves.forget_items(places, old)
        places.records.remove(old)  # its watchers go on with the new one
    places.dead.remove(queue, {task_id})
    moves.enqueue(places, dead.revived(now))
    return Published.CREATED
