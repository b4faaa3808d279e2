"""The run of a scheduler: it sleeps until a slot is due, and fires it unless somebody did."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from ltq._aio.backoff import ExponentialBackoff
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Envelope, Published
from ltq.schedule import DueSlots, Schedule

logger = logging.getLogger("ltq.scheduler")

Sleep = Callable[[float], Awaitable[object]]

GRACE = 5.0
"""Seconds a slot may be late, for a scheduler that was there, before it counts as missed."""

GRACE_AT_START = 1.0
"""The same for one that has just begun: others may be about to fire the slot."""

LONGEST_SLEEP = 60.0
"""Seconds until the broker's clock is looked at again: it may be set, or this machine paused."""

_SHORTEST_SLEEP = 0.001
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
"""Seconds before a schedule is tried again that failed."""

_LONGEST_AWAY = 5.0
"""Seconds before a broker that was away is asked again, at most."""

_DAY = 86400


class _QueueFullError(Exception):
    """There is no room for the task of a slot."""


class _Entry:
    """A schedule, and how far it is."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.after: int | None = None
        """The slot kept in the broker, as far as is known here."""
        self.is_known = False
        """Whether this run has seen to it before."""
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self.seldom = ThrottledLogger(logger, 30.0)
        self._retry_at: float | None = None
        self._next: tuple[int, int] | None = None

    def wake_at(self, now: float) -> float:
        """When it is to be seen to again, by the broker's clock."""
        if self._retry_at is not None:
            return min(self._retry_at, now + _LONGEST_PAUSE)
        if self.after is None or self.after > now + _DAY:
            return now
        if self._next is None or self._next[0] != self.after:
            self._next = self.after, self.schedule.next(self.after)
        return self._next[1]

    def failed(self, now: float, error: Exception) -> None:
        """Try again later, and say so now and then."""
        self._retry_at = now + self._pauses.next()
        text = error if isinstance(error, BrokerError | _QueueFullError) else repr(error)
        self.seldom.warning("schedule %s: %s; trying again", self.schedule.name, text)

    def succeeded(self) -> None:
        """It is up to date."""
        self._pauses.reset()
        self._retry_at, self.is_known = None, True


class SchedulerLoop:
    """Fires schedules in rounds, in the event loop that runs it."""

    def __init__(
        self, broker: Broker, schedules: Iterable[Schedule], sleep: Sleep = asyncio.sleep
    ) -> None:
        self._broker = broker
        self._entries = [_Entry(schedule) for schedule in schedules]
        self._sleep = sleep
        self._pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_AWAY)
        self._away = ThrottledLogger(logger, 30.0)

    async def run(self) -> None:
        """Go on until cancelled, which loses nothing: what was fired is known by its slot."""
        while True:
            await self._sleep(await self._round())

    async def _round(self) -> float:
        """See to all that is due; how many seconds nothing will be."""
        try:
            now = await self._broker.time()
        except Exception as error:
            return self._failed(error)
        self._pauses.reset()
        if self._away.over():
            logger.info("the broker is back")
        clock = asyncio.get_running_loop().time
        began = clock()
        due = [entry for entry in self._entries if entry.wake_at(now) <= now]
        await asyncio.gather(*(self._attend(entry, now) for entry in due))
        wake_at = min((entry.wake_at(now) for entry in self._entries), default=now + LONGEST_SLEEP)
        left = wake_at - now - (clock() - began)
        return min(max(left, _SHORTEST_SLEEP), LONGEST_SLEEP)

    def _failed(self, error: Exception) -> float:
        text = error if isinstance(error, BrokerError) else repr(error)
        self._away.warning("%s; schedules wait for the broker", text)
        return self._pauses.next()

    async def _attend(self, entry: _Entry, now: float) -> None:
        try:
            await self._fire_due(entry, now)
        except Exception as error:
            entry.failed(now, error)
        else:
            entry.succeeded()

    async def _fire_due(self, entry: _Entry, now: float) -> None:
        if entry.after is None or entry.after > now + _DAY:  # not known, or by a wrong clock
            entry.after = (await self._tick(entry, None, int(now))).last
        grace = GRACE if entry.is_known else GRACE_AT_START
        due = entry.schedule.due(entry.after, now, grace)
        if due.passed is not None:
            _tell_of_missed(entry.schedule, due)
            entry.after = (await self._tick(entry, entry.after, due.passed)).last
        for slot in due.fired:
            if slot <= entry.after:  # somebody else was here meanwhile
                continue
            envelope = entry.schedule.envelope(slot)
            ticked = await self._tick(entry, entry.after, slot, envelope)
            self._tell(entry, slot, ticked, envelope)
            entry.after = slot if ticked.is_other else ticked.last
            if entry.after < slot:  # the broker was set back: the next round looks again
                return
            if due.missed_since is not None and ticked.published is not None:
                _tell_of_missed(entry.schedule, due)

    async def _tick(
        self, entry: _Entry, after: int | None, slot: int, envelope: Envelope | None = None
    ) -> SlotReceipt:
        schedule = entry.schedule
        return await self._broker.fire(
            ScheduleSlot(
                schedule=schedule.name,
                queue=schedule.task.queue,
                spec=schedule.spec,
                after=after,
                slot=slot,
                due=schedule.next(slot),
                envelope=envelope,
            )
        )

    def _tell(self, entry: _Entry, slot: int, ticked: SlotReceipt, envelope: Envelope) -> None:
        name = entry.schedule.name
        if ticked.is_other:
            entry.seldom.warning(
                "schedule %s belongs to a process that declares it otherwise: not fired here", name
            )
        if ticked.published is None:
            return
        if ticked.published is Published.FULL:
            raise _QueueFullError(f"queue {envelope.queue} is full")
        DeclaredTask.of(entry.schedule.task).published(envelope, ticked.published)
        if ticked.published is Published.ID_CONFLICT:
            logger.error("schedule %s: another task has the id %s", name, envelope.id)
        logger.debug("schedule %s: %s %s", name, envelope.id, ticked.published)


def _tell_of_missed(schedule: Schedule, due: DueSlots) -> None:
    if due.missed_since is not None:
        since = datetime.fromtimestamp(due.missed_since, schedule.zone)
        text = "schedule %s: nobody was there since %s: misfire=%s"
        logger.info(text, schedule.name, since.isoformat(), schedule.misfire)
