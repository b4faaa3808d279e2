"""Letting the broker hear of a running scheduler, so that others leave its schedules to it."""

import asyncio
import logging
from collections.abc import Iterable

from ltq._aio.clock import Clock
from ltq._scheduler.entry import Entry
from ltq.broker import SCHEDULER_SILENT, ScheduleStore

logger = logging.getLogger("ltq.scheduler")

BEAT = 2.0
"""Seconds between two calls that say that the scheduler is there."""

_LEAVE_TIMEOUT = 1.0
"""Seconds that the call at its end may take."""


class SchedulerPresence:
    """Says that a run of a scheduler is there, once in each namespace of its schedules."""

    def __init__(
        self, store: ScheduleStore, scheduler: str, entries: Iterable[Entry], clock: Clock
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._clock = clock
        self._told: list[Entry] = list({one.key[0]: one for one in entries}.values())
        """A schedule of each namespace."""
        self._heard_at = clock()
        self._back_at = -SCHEDULER_SILENT

    @property
    def is_just_back(self) -> bool:
        """Whether it was away until a moment ago: others may have been away as well."""
        return self._clock() - self._back_at < SCHEDULER_SILENT

    async def beat(self) -> None:
        """Say it again and again."""
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self._tell(leaves=False)
            except Exception as error:  # the rounds warn of a broker that is away
                logger.debug("could not announce this scheduler: %r", error)
                continue
            now = self._clock()
            if now - self._heard_at > SCHEDULER_SILENT:
                self._back_at = now
            self._heard_at = now

    async def leave(self) -> None:
        """Say that it ends, unless the broker is away: then others find out by themselves."""
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                await self._tell(leaves=True)
        except Exception as error:
            logger.debug("could not announce that this scheduler ends: %r", error)

    async def _tell(self, *, leaves: bool) -> None:
        slots = [
            entry.hold(self._scheduler, entry.last, leaves=leaves)
            for entry in self._told
            if entry.last is not None
        ]
        await asyncio.gather(*map(self._store.fire, slots))
