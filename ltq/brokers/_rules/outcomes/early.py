"""Results that arrive in the step in which their tasks end."""

from collections.abc import Sequence

from ltq.broker.flows import HELD, ArrivalCount
from ltq.brokers._rules.flows.waiting import waits
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.retention import find
from ltq.message import Finish, Outcome, slot_of
from ltq.state import Status


class EarlyArrivals:
    """The results of some outcomes, for tasks that still wait for others after that.

    Whatever else there is to do about a result is left to whoever carries its ending on: for a task
    that waits for nothing else, or was cancelled, or has something in this slot.
    """

    def __init__(self, places: Places, outcomes: Sequence[Outcome], now: float) -> None:
        self._waiting: dict[str, _Slots] = {}
        slots: dict[str, set[int]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Finish) and outcome.waiter is not None:
                slot = slot_for(outcome)
                if slot is not None:
                    slots.setdefault(outcome.waiter.id, set()).add(slot)
        if not slots:  # as mostly
            return
        places.records.load(slots)
        for task_id, wanted in slots.items():
            record = find(places, task_id, now)
            if record is not None and waits(record):
                self._waiting[task_id] = _Slots(places, task_id, wanted)

    def put(self, outcome: Finish) -> bool:
        """Put the result of an outcome in its slot. Returns whether it is there."""
        waiter = outcome.waiter
        if waiter is None or waiter.id not in self._waiting:
            return False
        slot = slot_for(outcome)
        return slot is not None and self._waiting[waiter.id].put(waiter.of, slot, outcome.result)

    def write(self) -> None:
        """Write what has arrived."""
        for slots in self._waiting.values():
            slots.write()


class _Slots:
    """The slots of one task that waits."""

    def __init__(self, places: Places, task_id: str, wanted: set[int]) -> None:
        self._arrivals = places.arrivals
        self._task_id = task_id
        self._taken = {*places.arrivals.read(task_id, wanted)}
        self._count = places.arrivals.count(task_id)
        self._changed: dict[int, bytes] = {}

    def put(self, of: int, slot: int, result: bytes) -> bool:
        count = self._count or ArrivalCount(of)
        if slot in self._taken or count.values + 1 >= of:
            return False
        self._taken.add(slot)
        self._changed[slot] = b"=" + result
        self._count = ArrivalCount(of, count.values + 1, count.failed)
        return True

    def write(self) -> None:
        if self._changed:
            self._arrivals.write(self._task_id, self._changed, self._count, HELD)


def slot_for(outcome: Outcome) -> int | None:
    """The slot of its waiter where the result of an outcome belongs, if it may arrive early."""
    if not isinstance(outcome, Finish) or outcome.waiter is None or outcome.follow:
        return None
    if outcome.status is not Status.COMPLETED:
        return None
    try:
        return slot_of(outcome.waiter.slot, outcome.lease.id)
    except ValueError:
        return None
