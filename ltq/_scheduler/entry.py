"""A schedule in a running scheduler: how far it has got, and when it is to be attended to."""

import logging
from math import floor, inf

from msgspec.structs import replace

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.clock import Jitter
from ltq._scheduler.plans import Plan
from ltq.broker import SCHEDULER_SILENT, SLOT_AHEAD, ScheduleSlot, SlotReceipt
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.message import Envelope
from ltq.names import namespace_of

logger = logging.getLogger("ltq.scheduler")

GRACE = 5.0
"""Seconds by which a running scheduler may fire a slot late, before the slot counts as missed."""

GRACE_AT_START = 1.0
"""The same for a scheduler that has just started: others may be about to fire the slot."""

ASK_AGAIN = 2.0
"""Seconds until a slot is tried again if other processes that declare the schedule differently have
it."""

ASK_PAUSED = 1.0
"""Seconds until a schedule is tried again of which a call said that it is paused."""

WARN_EVERY = 30.0
"""Seconds between two warnings about the same trouble."""

_GRACE_AFTER_OTHERS = GRACE + SCHEDULER_SILENT + ASK_AGAIN
"""The grace for slots that were held up until it was clear that those processes are gone."""

_RETRY = 0.2, 30.0
"""Seconds until a failed schedule is tried again: the first pause and the longest."""


class QueueIsFullError(Exception):
    """There is no room for the task of a slot."""


class Entry:
    """A schedule, and how far it has got."""

    def __init__(self, plan: Plan, jitter: Jitter) -> None:
        self.plan = plan
        self.key: tuple[str, str] = namespace_of(plan.queue), plan.name
        self.last: int | None = None
        """The last slot that was fired or skipped by any scheduler; None if not known yet."""
        self.since = 0.0
        """When this run declared it, as the broker said; 0 if it has not."""
        self.is_others = False
        """Whether other processes have it, that declare it differently."""
        self.is_busy = False
        """Whether it is being attended to."""
        self.is_paused = False
        """Whether the broker's list of schedules says so."""
        self.resumed = 0.0
        """When it was resumed, as far as that is known. Slots before it were missed."""
        self.is_gone = False
        """Whether the broker keeps something else now, or nothing."""
        self.throttled = ThrottledLogger(logger, WARN_EVERY)
        self._was_up_to_date = False
        self._backoff = ExponentialBackoff(*_RETRY, jitter=jitter)
        self._retry_at: float | None = None
        self._grace = 0.0
        self._has_just_got_it = False
        self._found_it_paused = False
        self._following: dict[int, int] = {}

    def wake_at(self, now: float) -> float:
        """When to attend to it again, by the broker's clock."""
        if self.is_paused or self.is_gone:
            return inf
        if self._retry_at is not None:
            return min(self._retry_at, now + _RETRY[1])
        if self.last is None or self.is_far_ahead(now):
            return now
        return self.following(self.last)

    def is_far_ahead(self, now: float) -> bool:
        """Whether its last slot is so far in the future that a clock must have been wrong."""
        return self.last is not None and self.last > now + SLOT_AHEAD

    def is_behind(self, now: float) -> bool:
        """Whether several slots are due, or one that may be missed."""
        if self.last is None:
            return False
        first = self.following(self.last)
        return self.following(first) <= now or first < now - self.grace(now)

    def grace(self, now: float) -> float:
        """Seconds after which a slot that was not fired counts as missed."""
        grace = max(self._grace, GRACE if self._was_up_to_date else GRACE_AT_START)
        if self.last is not None and self.last < self.resumed:
            return min(grace, max(0.0, now - self.resumed))  # it was due during the pause
        return grace

    def go_on_after(self, last: int, *, is_on_time: bool) -> None:
        """Begin after the last slot that the broker keeps; `is_on_time` if this scheduler runs."""
        self.last, self._was_up_to_date = last, is_on_time
        self.following(last)

    def resume(self, resumed: float) -> None:
        """Attend to it again, after a pause until `resumed`; 0 if there was none."""
        if self.is_paused or self._found_it_paused:
            self._retry_at = None
        self.is_paused, self._found_it_paused, self.resumed = False, False, resumed

    def following(self, slot: int) -> int:
        """The slot after a moment. The latest two are kept, so that they are found in advance."""
        found = self._following.get(slot)
        if found is None:
            if len(self._following) > 1:
                del self._following[next(iter(self._following))]
            found = self._following[slot] = self.plan.next(slot)
        return found

    def prepare(self, now: float) -> None:
        """Find the next two slots: when one is due there may be many others."""
        self.following(self.following(int(now) if self.last is None else self.last))

    def slot(
        self, scheduler: str, slot: int, after: int | None, envelope: Envelope | None = None
    ) -> ScheduleSlot:
        """The call that moves it from `after` to a slot."""
        return ScheduleSlot(
            schedule=self.plan.name,
            queue=self.plan.queue,
            spec=self.plan.spec,
            after=after,
            slot=slot,
            due=self.following(slot),
            envelope=envelope,
            scheduler="" if self.plan.put else scheduler,
            put=self.plan.put,
            since=self.since,
        )

    def hold(self, scheduler: str, last: int, *, leaves: bool) -> ScheduleSlot:
        """The call that only says that its scheduler is there, or that it ends."""
        return replace(self.slot(scheduler, last, last), leaves=leaves)

    def note(self, receipt: SlotReceipt, now: float) -> None:
        """Note where it stands, as the broker said at about `now`."""
        self.since = receipt.since or self.since
        self.is_gone = self.is_gone or receipt.is_gone
        self._found_it_paused = receipt.is_paused
        if receipt.is_gone:
            return
        if receipt.is_paused:  # the list of schedules says when it goes on, perhaps before this
            self._retry_at = now + ASK_PAUSED
            return
        if not receipt.is_other:
            if self.is_others:  # this call, or another process, has just taken it over
                self._grace, self._has_just_got_it = _GRACE_AFTER_OTHERS, True
            self.last, self.is_others = receipt.last, False
            return
        # Slots since the others were heard of may still be ours.
        last = receipt.last if self.last is None else self.last
        self.last = max(last, floor(now - SCHEDULER_SILENT))
        self.is_others = True
        self.wait(now)
        text = "schedule %s is declared differently in another process: not fired here"
        self.throttled.warning(text, self.plan.name)

    def wait(self, now: float) -> None:
        """Ask again later whether the other processes are still there."""
        if self.last is not None:
            self._retry_at = max(now + ASK_AGAIN, self.following(self.last))

    def failed(self, now: float, error: BaseException) -> None:
        """Try again later, and log that from time to time."""
        self._retry_at = now + self._backoff.next()
        text = error if isinstance(error, BrokerError | QueueIsFullError) else repr(error)
        self.throttled.warning("schedule %s: %s; trying again", self.plan.name, text)

    def succeeded(self) -> None:
        """Note that it is up to date, or that others have it."""
        self._backoff.reset()
        if self.is_others or self._found_it_paused:
            return
        self._retry_at, self._was_up_to_date = None, True
        if not self._has_just_got_it:
            self._grace = 0.0
        self._has_just_got_it = False
