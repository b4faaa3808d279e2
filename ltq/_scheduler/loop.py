"""The loop of a scheduler: it sleeps until a slot is due, and fires it unless another one did."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq._declared import DeclaredTask
from ltq.broker import SLOT_AHEAD, ScheduleSlot, ScheduleStore, SlotReceipt
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Envelope, Published
from ltq.schedule import DueSlots, Schedule

logger = logging.getLogger("ltq.scheduler")

Sleep = Callable[[float], Awaitable[object]]

GRACE = 5.0
"""Seconds by which a running scheduler may fire a slot late, before the slot counts as missed."""

GRACE_AT_START = 1.0
"""The same for a scheduler that has just started: others may be about to fire the slot."""

LONGEST_SLEEP = 60.0
"""Seconds until the broker's clock is read again: it may be set, or this machine paused."""

_SHORTEST_SLEEP = 0.001
_RETRY = 0.2, 30.0
"""Seconds until a failed schedule is tried again: the first pause and the longest."""

_RECONNECT = 0.2, 5.0
"""Seconds until a broker that was away is called again: the first pause and the longest."""

_WARN_EVERY = 30.0
"""Seconds between two warnings about the same trouble."""


class _QueueFullError(Exception):
    """There is no room for the task of a slot."""


class _Entry:
    """A schedule, and how far it has got."""

    def __init__(self, schedule: Schedule, jitter: Jitter) -> None:
        self.schedule = schedule
        self.last: int | None = None
        """The last slot that was fired or skipped by any scheduler; None if not known yet."""
        self.was_up_to_date = False
        """Whether this run has brought it up to date before."""
        self.throttled = ThrottledLogger(logger, _WARN_EVERY)
        self._backoff = ExponentialBackoff(*_RETRY, jitter=jitter)
        self._retry_at: float | None = None
        self._next: tuple[int, int] | None = None

    def wake_at(self, now: float) -> float:
        """When to attend to it again, by the broker's clock."""
        if self._retry_at is not None:
            return min(self._retry_at, now + _RETRY[1])
        if self.last is None or self.last > now + SLOT_AHEAD:
            return now
        if self._next is None or self._next[0] != self.last:
            self._next = self.last, self.schedule.next(self.last)
        return self._next[1]

    def failed(self, now: float, error: Exception) -> None:
        """Try again later, and log that from time to time."""
        self._retry_at = now + self._backoff.next()
        text = error if isinstance(error, BrokerError | _QueueFullError) else repr(error)
        self.throttled.warning("schedule %s: %s; trying again", self.schedule.name, text)

    def succeeded(self) -> None:
        """Note that it is up to date."""
        self._backoff.reset()
        self._retry_at, self.was_up_to_date = None, True


class SchedulerLoop(Service):
    """Fires schedules in rounds, in the event loop that starts it.

    Stopping it at any time loses nothing: the broker keeps the last slot of each schedule. `sleep`
    waits for a number of seconds; `clock` gives seconds, by default the event loop's.
    """

    def __init__(
        self,
        store: ScheduleStore,
        schedules: Iterable[Schedule],
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock | None = None,
        jitter: Jitter = jittered,
    ) -> None:
        super().__init__("ltq-scheduler", logger)
        self._store = store
        self._entries = [_Entry(schedule, jitter) for schedule in schedules]
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._backoff = ExponentialBackoff(*_RECONNECT, jitter=jitter)
        self._throttled = ThrottledLogger(logger, _WARN_EVERY)

    async def _run(self) -> None:
        while True:
            await self._sleep(await self._round())

    async def _round(self) -> float:
        """Fire all slots that are due; return the seconds until the next one is."""
        try:
            now = await self._store.time()
        except Exception as error:
            return self._failed(error)
        self._backoff.reset()
        if self._throttled.over():
            logger.info("the broker is back")
        began = self._clock()
        due = [entry for entry in self._entries if entry.wake_at(now) <= now]
        await asyncio.gather(*(self._attend(entry, now) for entry in due))
        wake_at = min((entry.wake_at(now) for entry in self._entries), default=now + LONGEST_SLEEP)
        left = wake_at - now - (self._clock() - began)
        return min(max(left, _SHORTEST_SLEEP), LONGEST_SLEEP)

    def _failed(self, error: Exception) -> float:
        text = error if isinstance(error, BrokerError) else repr(error)
        self._throttled.warning("%s; schedules wait for the broker", text)
        return self._backoff.next()

    async def _attend(self, entry: _Entry, now: float) -> None:
        try:
            await self._fire_due(entry, now)
        except Exception as error:
            entry.failed(now, error)
        else:
            entry.succeeded()

    async def _fire_due(self, entry: _Entry, now: float) -> None:
        """Fire the slots of a schedule that are due, and skip those that it is not to make up."""
        if entry.last is None or entry.last > now + SLOT_AHEAD:  # not known, or of a wrong clock
            entry.last = await self._skip_to(entry, None, int(now))
        grace = GRACE if entry.was_up_to_date else GRACE_AT_START
        due = entry.schedule.due(entry.last, now, grace)
        if due.passed is not None:
            _log_missed(entry.schedule, due)
            entry.last = await self._skip_to(entry, entry.last, due.passed)
        for slot in due.fired:
            if slot <= entry.last:  # another scheduler has fired it meanwhile
                continue
            entry.last = await self._fire_slot(entry, entry.last, slot, due)
            if entry.last < slot:  # the broker lost its data: the next round starts from there
                return

    async def _skip_to(self, entry: _Entry, last: int | None, slot: int) -> int:
        """Let a schedule go on after a slot, without a task; return where it stands then.

        A schedule that the broker knows already, with `last` None, stays where it is.
        """
        return (await self._advance(entry, last, slot)).last

    async def _fire_slot(self, entry: _Entry, last: int, slot: int, due: DueSlots) -> int:
        """Enqueue the task of a slot, unless that was done; return where the schedule stands then.

        Raises `_QueueFullError` if there is no room.
        """
        envelope = entry.schedule.envelope(slot)
        receipt = await self._advance(entry, last, slot, envelope)
        self._report(entry, receipt, envelope)
        if receipt.is_other:
            return slot
        if receipt.last >= slot and receipt.published is not None and due.missed_since is not None:
            _log_missed(entry.schedule, due)
        return receipt.last

    async def _advance(
        self, entry: _Entry, last: int | None, slot: int, envelope: Envelope | None = None
    ) -> SlotReceipt:
        """Ask the broker to move a schedule from its last slot to another one."""
        schedule = entry.schedule
        return await self._store.fire(
            ScheduleSlot(
                schedule=schedule.name,
                queue=schedule.task.queue,
                spec=schedule.spec,
                after=last,
                slot=slot,
                due=schedule.next(slot),
                envelope=envelope,
            )
        )

    def _report(self, entry: _Entry, receipt: SlotReceipt, envelope: Envelope) -> None:
        """Log what the broker did with a slot, and tell the listeners of the worker's events."""
        name = entry.schedule.name
        if receipt.is_other:
            entry.throttled.warning(
                "schedule %s is declared differently in another process: not fired here", name
            )
        if receipt.published is None:
            return
        if receipt.published is Published.FULL:
            raise _QueueFullError(f"queue {envelope.queue} is full")
        DeclaredTask.of(entry.schedule.task).published(envelope, receipt.published)
        if receipt.published is Published.ID_CONFLICT:
            logger.error("schedule %s: another task has the id %s", name, envelope.id)
        logger.debug("schedule %s: %s %s", name, envelope.id, receipt.published)


def _log_missed(schedule: Schedule, due: DueSlots) -> None:
    if due.missed_since is not None:
        since = datetime.fromtimestamp(due.missed_since, schedule.zone)
        text = "schedule %s: no scheduler ran since %s: misfire=%s"
        logger.info(text, schedule.name, since.isoformat(), schedule.misfire)
