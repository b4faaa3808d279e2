"""The part of the Redis broker that keeps schedules."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ltq.broker import check_name, check_names, check_schedule, check_schedule_name
from ltq.broker.checks import check_record
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.brokers.redis._operations import schedules
from ltq.brokers.redis._session import Session
from ltq.names import namespace_of


class KeepsSchedules(ABC):
    """What `RedisBroker` does with schedules."""

    @abstractmethod
    def _here(self) -> Session:
        """The session of the running event loop."""

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        """See `ScheduleKeeper.put_schedule`."""
        check_schedule(schedule)
        session = self._here()
        return await schedules.put(session.links, session.registry, schedule, due)

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        """See `Mover.adopt_schedule`."""
        schedule = check_record(record)
        session = self._here()
        return await schedules.adopt(session.links, session.registry, record, schedule, due)

    async def remove_schedule(self, queue: str, name: str) -> bool:
        """See `ScheduleKeeper.remove_schedule`."""
        check_schedule_name(queue, name)
        return await schedules.remove(self._here().links, queue, name)

    async def pause_schedule(self, queue: str, name: str) -> bool:
        """See `ScheduleKeeper.pause_schedule`."""
        check_schedule_name(queue, name)
        return await schedules.pause(self._here().links, queue, name, paused=True)

    async def resume_schedule(self, queue: str, name: str) -> bool:
        """See `ScheduleKeeper.resume_schedule`."""
        check_schedule_name(queue, name)
        return await schedules.pause(self._here().links, queue, name, paused=False)

    async def schedule_marks(self) -> Mapping[str, int]:
        """See `ScheduleKeeper.schedule_marks`."""
        return await schedules.read_marks(self._here().links)

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        """See `ScheduleKeeper.changed_schedules`."""
        check_name("queue", queue)
        return await schedules.read_changed(self._here().link(queue), queue, after)

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        """See `ScheduleKeeper.schedules`."""
        names = check_names("schedule", names)
        if queue is None:
            namespaces = (await self._here().registry.read()).names
        else:
            namespaces = [namespace_of(check_name("queue", queue))]
        return await schedules.read_named(self._here().links, namespaces, names)
