"""The loop of a scheduler: it sleeps until a slot is due, and fires it unless another one did."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext
from contextvars import Context
from functools import partial
from math import inf
from typing import Any

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.clock import Clock, Jitter, jittered
from ltq._aio.service import Service
from ltq._scheduler.entry import WARN_EVERY, Entry
from ltq._scheduler.firing import Firing
from ltq._scheduler.kept import KeptSchedules, by_key
from ltq._scheduler.plans import DeclaredPlan
from ltq._scheduler.presence import SchedulerPresence
from ltq.broker import ScheduleKeeper, ScheduleStore
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.names import new_id
from ltq.schedule import Schedule

logger = logging.getLogger("ltq.scheduler")

Sleep = Callable[[float], Awaitable[object]]

FOLLOW = 0.8
"""Seconds between two looks whether schedules that are kept were changed. That takes effect within
a second."""

LONGEST_SLEEP = 60.0
"""Seconds until the broker's clock is read again: it may be set, or this machine paused."""

_SHORTEST_SLEEP = 0.001

_LONGEST_ROUND = 1.0
"""Seconds after which a round goes on without a call that has no answer yet."""

_BETWEEN_ROUNDS = 0.1
"""Most seconds until the next round while something is under way: what is done may be due again."""

_AT_ONCE = 4
"""How many schedules make up for missed slots at the same time."""

_PREPARED_AT_ONCE = 50
"""For how many schedules the next slots are found before others may run."""

_STARTED_AT_ONCE = 250
"""How many schedules are fired before their calls go out."""

_TURNS = 3
"""Turns of the event loop until a call is on its way."""

_RECONNECT = 0.2, 5.0
"""Seconds until a broker that was away is called again: the first pause and the longest."""


class SchedulerLoop(Service):
    """Fires schedules in rounds, in the event loop that starts it.

    A round fires what is due now, for all schedules together. A schedule that has to make up for
    several slots does so beside the rounds, bit by bit, and holds up no other one.

    Stopping it at any time loses nothing: the broker keeps the last slot of each schedule. `sleep`
    waits for a number of seconds; `clock` gives seconds, by default the event loop's. Without
    `beats` the broker hears of it only when slots are due. With a `keeper` it also fires the
    schedules that are kept there; `news` waits until it should look again whether any was changed.
    """

    def __init__(
        self,
        store: ScheduleStore,
        schedules: Iterable[Schedule],
        *,
        keeper: ScheduleKeeper | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Clock | None = None,
        jitter: Jitter = jittered,
        news: Callable[[], Awaitable[object]] | None = None,
        beats: bool = True,
    ) -> None:
        super().__init__("ltq-scheduler", logger)
        scheduler = new_id()
        self._store = store
        self._declared = [Entry(DeclaredPlan(schedule), jitter) for schedule in schedules]
        self._kept: KeptSchedules | None = None
        if keeper is not None:
            self._kept = KeptSchedules(keeper, by_key(self._declared), jitter)
        self._news = news or partial(asyncio.sleep, FOLLOW)
        self._changed = asyncio.Event()
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._firing = Firing(store, scheduler)
        self._presence = SchedulerPresence(store, scheduler, self._declared, self._clock)
        self._beats = beats
        self._catching_up = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self._few = 0
        """The next round begins as soon as no more than these are under way."""
        self._backoff = ExponentialBackoff(*_RECONNECT, jitter=jitter)
        self._throttled = ThrottledLogger(logger, WARN_EVERY)

    async def aclose(self) -> None:
        """See `Service.aclose`. Other schedulers need not wait for this one any more."""
        await super().aclose()
        await self._presence.leave()

    def next_at(self, now: float) -> float:
        """When the next slot is due; infinity if none is."""
        return min((one.wake_at(now) for one in self._entries), default=inf)

    async def _run(self) -> None:
        if self._beats:
            self._spawn(self._presence.beat(), "presence")
        if self._kept is not None:
            self._spawn(self._follow(self._kept), "kept")
        try:
            while True:
                await self._rest(await self._round())
        finally:
            for task in self._others():
                task.cancel()

    async def _rest(self, seconds: float) -> None:
        """Sleep until something is due or changed, or until half of what is under way is done.

        A round looks at all schedules: with one for each that is done, very many would take long.
        """
        if self._kept is None and not self._under_way:
            if seconds > 0:
                await self._sleep(seconds)
            return
        ends: list[asyncio.Task[Any]] = [self._spawn(self._changed.wait(), "changed")]
        if not self._under_way:
            ends.append(self._spawn(_sleep_for(self._sleep, seconds), "sleep"))
        self._few = len(self._under_way) // 2
        most = min(seconds, _BETWEEN_ROUNDS) if self._under_way else None
        try:
            await asyncio.wait(ends, timeout=most, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ends:
                one.cancel()
        self._changed.clear()

    @property
    def _entries(self) -> "list[Entry]":
        """All schedules that it runs now."""
        kept = () if self._kept is None else self._kept.entries.values()
        return [*self._declared, *kept]

    async def _follow(self, kept: KeptSchedules) -> None:
        """Take in again and again what was changed of the schedules that the broker keeps."""
        while True:
            try:
                kept.drop_gone()
                if await kept.update():
                    self._changed.set()
            except Exception as error:  # the rounds warn of a broker that is away
                logger.debug("could not read the schedules that are kept: %r", error)
                await asyncio.sleep(FOLLOW)
            else:
                await self._news()

    async def _round(self) -> float:
        """Fire the slots that are due; return the seconds until the next one is, or 0."""
        try:
            now = await self._store.time()
        except Exception as error:
            return self._failed(error)
        self._backoff.reset()
        if self._throttled.over():
            logger.info("the broker is back")
        began = self._clock()
        entries = self._entries
        due = [one for one in entries if not one.is_busy and one.wake_at(now) <= now]
        due.sort(key=_last_slot)  # the longest overdue first: schedulers may end before the others
        await self._attend_due(due, now)
        wake_at = min(
            (one.wake_at(now) for one in entries if not one.is_busy),
            default=now + LONGEST_SLEEP,
        )
        if wake_at <= now:
            return 0.0
        left = wake_at - now - (self._clock() - began)
        return min(max(left, _SHORTEST_SLEEP), LONGEST_SLEEP)

    def _failed(self, error: Exception) -> float:
        text = error if isinstance(error, BrokerError) else repr(error)
        self._throttled.warning("%s; schedules wait for the broker", text)
        return self._backoff.next()

    async def _attend_due(self, due: Sequence[Entry], now: float) -> None:
        """Attend to schedules; wait for those that are on time."""
        await _prepare([entry for entry in due if entry.last is None], now)
        on_time: list[Entry] = []
        for entry in due:
            entry.is_busy = True
            if entry.is_behind(now):
                self._start(self._catch_up(entry, now), entry.plan.name)
            else:
                on_time.append(entry)
        if on_time:
            work = self._attend_together(on_time, now)
            await asyncio.wait([self._start(work, "on-time")], timeout=_LONGEST_ROUND)
            self._spawn(_prepare(on_time, now), "prepare")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = self._spawn(work, name)
        self._under_way.add(task)
        task.add_done_callback(self._is_done, context=Context())
        return task

    def _is_done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if len(self._under_way) <= self._few:
            self._changed.set()

    async def _attend_together(self, entries: Sequence[Entry], now: float) -> None:
        """Attend to schedules at the same time. The first calls go out before the last are made."""
        attending = []
        for number, entry in enumerate(entries, 1):
            attending.append(self._spawn(self._attend(entry, now), entry.plan.name))
            if number % _STARTED_AT_ONCE == 0:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        await asyncio.wait(attending)

    async def _catch_up(self, entry: Entry, now: float) -> None:
        """Attend to a schedule that has several slots to fire, perhaps very many."""
        turn = self._catching_up if entry.plan.misfire == "all" else nullcontext()
        async with turn:
            await self._attend(entry, now)

    async def _attend(self, entry: Entry, now: float) -> None:
        try:
            if entry.last is None or entry.is_far_ahead(now):
                await self._firing.begin(entry, now)
                if entry.is_behind(now):
                    return  # the next round goes on
            if entry.is_others and self._presence.is_just_back:
                entry.wait(now)
            else:
                await self._firing.fire_due(entry, now)
        except (Exception, SystemExit) as error:
            entry.failed(now, error)
        else:
            entry.succeeded()
        finally:
            entry.is_busy = False


def _last_slot(entry: Entry) -> int:
    return entry.last or 0


async def _sleep_for(sleep: Sleep, seconds: float) -> None:
    await sleep(seconds)


async def _prepare(entries: Sequence[Entry], now: float) -> None:
    """Find the next slots of schedules in advance."""
    for number, entry in enumerate(entries, 1):
        entry.prepare(now)
        if number % _PREPARED_AT_ONCE == 0:
            await asyncio.sleep(0)
