"""Checks of names at the seam. A broker makes them before it does anything else.

Leases are as a claim gave them: a broker does not check them, and answers for one that no claim
gave that its task is gone, or the lease lost.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from ltq._display.values import short_repr
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.broker.schedules import KeptSchedule, ScheduleRecord
from ltq.broker.steering import MAX_RERUN
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Lease
from ltq.names import check_lane, check_name, check_names, check_tags, queue_of

LONGEST_SCHEDULE = 180
"""Most characters of a schedule's name: it is part of the ids of its tasks."""


def check_envelopes(envelopes: Sequence[Envelope]) -> None:
    """Raise `ConfigurationError` for a wrong name or tag in any of these envelopes.

    It spares those that are as in the envelope before, and ids that were made for their envelopes.
    """
    queue = lane = task_name = None
    tags: tuple[str, ...] = ()
    for envelope in envelopes:
        if (
            envelope.queue is not queue
            or envelope.lane is not lane
            or envelope.task_name is not task_name
        ):
            queue, lane, task_name = envelope.queue, envelope.lane, envelope.task_name
            _check_place(queue, lane, task_name)
        if envelope.tags is not tags:
            tags = envelope.tags
            _check_tags(tags)
        if not envelope.has_new_id:
            check_name("task id", envelope.id)


def check_parcels(parcels: Iterable[Parcel]) -> None:
    """Raise `ConfigurationError` for a wrong name or tag in any of these parcels."""
    check_envelopes([parcel.envelope for parcel in parcels])


def check_slot(slot: ScheduleSlot) -> None:
    """Raise `ConfigurationError` for a wrong name in the slot of a schedule."""
    check_name("schedule", slot.schedule)
    check_name("queue", slot.queue)
    if slot.envelope is not None:
        check_envelopes([slot.envelope])


def check_schedule(schedule: KeptSchedule) -> None:
    """Raise `ConfigurationError` for a wrong name in a schedule that is to be kept."""
    check_name("schedule", schedule.name, longest=LONGEST_SCHEDULE)
    _check_place(schedule.envelope.queue, schedule.envelope.lane, schedule.envelope.task_name)


def check_record(record: ScheduleRecord) -> KeptSchedule:
    """Return the schedule of a record that is to be kept as it is.

    Raises `ConfigurationError` for a wrong name, and for a schedule that was not put.
    """
    if record.schedule is None:
        raise ConfigurationError(
            f"schedule {short_repr(record.name)} was not put: it is declared in code"
        )
    check_schedule(record.schedule)
    return record.schedule


def check_schedule_name(queue: str, name: str) -> None:
    """Raise `ConfigurationError` for a wrong name of a queue or a schedule."""
    check_name("queue", queue)
    check_name("schedule", name)


def check_task(queue: str, task_id: str) -> None:
    """Raise `ConfigurationError` for a wrong name of a queue or a wrong id."""
    check_name("queue", queue)
    check_name("task id", task_id)


def check_tasks(queue: str, ids: Iterable[str]) -> list[str]:
    """Return the ids as a list. Raises as `check_task` does."""
    check_name("queue", queue)
    return check_names("task id", ids)


def check_rerun(queue: str, ids: Iterable[str]) -> list[str]:
    """Return the ids as a list. Raises as `check_task` does, and for too many."""
    found = check_tasks(queue, ids)
    if len(found) > MAX_RERUN:
        raise ConfigurationError(f"{len(found)} ids are not allowed: at most {MAX_RERUN} at once")
    return found


def check_lease(lease: Lease) -> None:
    """Raise `ConfigurationError` for wrong names in a lease that somebody made."""
    check_task(lease.queue, lease.id)


def _check_tags(tags: tuple[str, ...]) -> None:
    if check_tags(tags) != tags:
        raise ConfigurationError(f"tags={short_repr(tags)} is not allowed: a tuple, each tag once")


def _check_place(queue: str, lane: str, task_name: str) -> None:
    try:
        _check_known_place(queue, lane, task_name)
    except TypeError:  # one cannot be hashed, so it is no text
        check_name("queue", queue)
        check_name("task", task_name)
        check_lane(lane)
        raise


@lru_cache(maxsize=4096)
def _check_known_place(queue: str, lane: str, task_name: str) -> None:
    check_name("queue", queue)
    check_name("task", task_name)
    if lane != "" and queue_of(check_lane(lane)) != queue:
        raise ConfigurationError(f"lane {lane!r} is not allowed in queue {queue!r}")
