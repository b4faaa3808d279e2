"""Following the schedules that the broker keeps: only what was changed is read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping

from ltq._aio.clock import Jitter
from ltq._scheduler.entry import Entry
from ltq._scheduler.plans import KeptPlan
from ltq.broker import ScheduleChanges, ScheduleKeeper, ScheduleRecord
from ltq.errors import ConfigurationError

logger = logging.getLogger("ltq.scheduler")

Key = tuple[str, str]
"""The namespace and the name of a schedule."""

_PREPARED_AT_ONCE = 50
"""For how many schedules the next slots are found before others may run."""


REREAD = 30.0
"""Seconds after which all namespaces are asked for changes, whatever their marks say: who made a
change may have died before he could mark it."""


class KeptSchedules:
    """The schedules that a broker keeps, as of the last `update`. A scheduler runs `entries`."""

    def __init__(
        self, keeper: ScheduleKeeper, declared: Mapping[Key, Entry], jitter: Jitter
    ) -> None:
        """`declared` are the scheduler's own: the broker says which of them are paused."""
        self.entries: dict[Key, Entry] = {}
        self._keeper = keeper
        self._declared = declared
        self._jitter = jitter
        self._marks: dict[str, int] = {}
        self._latest: dict[str, int] = {}
        self._is_loaded = False
        self._reread_at = 0.0

    async def update(self) -> bool:
        """Take in what was changed since the last time; return whether anything was."""
        marks = await self._keeper.schedule_marks()
        is_changed = False
        for namespace in [one for one in self._marks if one not in marks]:
            self._forget(namespace)
            is_changed = True
        asks_all = self._is_time_to_reread()
        for namespace, mark in marks.items():
            is_marked = self._marks.get(namespace) != mark
            is_changed = is_changed or is_marked
            if is_marked or asks_all:
                async for changes in self._changes(namespace):
                    await self._take(namespace, changes)
                    is_changed = is_changed or bool(changes.records or changes.gone)
                self._marks[namespace] = mark
        self._is_loaded = True
        return is_changed

    def _is_time_to_reread(self) -> bool:
        now = asyncio.get_running_loop().time()
        is_time = now >= self._reread_at
        if is_time:
            self._reread_at = now + REREAD
        return is_time

    def drop_gone(self) -> None:
        """Leave out those of which the broker said that it does not keep them any more."""
        for key in [key for key, entry in self.entries.items() if entry.is_gone]:
            del self.entries[key]

    async def _changes(self, namespace: str) -> AsyncIterator[ScheduleChanges]:
        has_more = True
        while has_more:
            after = self._latest.get(namespace, 0)
            changes = await self._keeper.changed_schedules(namespace, after)
            if changes.latest < after:  # the store was emptied
                self._forget(namespace)
                continue
            yield changes
            self._latest[namespace] = changes.latest
            has_more = changes.has_more

    def _forget(self, namespace: str) -> None:
        """Begin again with a namespace."""
        self._marks.pop(namespace, None)
        self._latest.pop(namespace, None)
        for key in [key for key in self.entries if key[0] == namespace]:
            del self.entries[key]
        for key, entry in self._declared.items():
            if key[0] == namespace:
                entry.resume(entry.resumed)

    async def _take(self, namespace: str, changes: ScheduleChanges) -> None:
        for name in changes.gone:
            self.entries.pop((namespace, name), None)
            if (namespace, name) in self._declared:
                self._declared[namespace, name].resume(0.0)
        for number, record in enumerate(changes.records, 1):
            if record.put:
                self._keep(record)
            elif (namespace, record.name) in self._declared:
                _steer(self._declared[namespace, record.name], record)
            if number % _PREPARED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _keep(self, record: ScheduleRecord) -> None:
        key = (record.namespace, record.name)
        entry = self.entries.get(key)
        if entry is None or entry.plan.put != record.put or entry.is_gone:
            try:
                entry = Entry(KeptPlan(record), self._jitter)
            except ConfigurationError as error:
                self.entries.pop(key, None)
                logger.error("schedule %s of %s cannot be fired: %s", *reversed(key), error)
                return
            entry.go_on_after(record.last, is_on_time=self._is_loaded)
            self.entries[key] = entry
        _steer(entry, record)


def _steer(entry: Entry, record: ScheduleRecord) -> None:
    if record.is_paused:
        entry.is_paused = True
    else:
        entry.resume(record.resumed)


def by_key(entries: Iterable[Entry]) -> dict[Key, Entry]:
    """Entries by their namespace and name."""
    return {entry.key: entry for entry in entries}
