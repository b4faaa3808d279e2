"""Schedules as a scheduler runs them: those of its code, and those that the broker keeps."""

from datetime import tzinfo
from typing import Protocol

from msgspec.structs import replace

from ltq._cron.expression import Steps, parse_cron
from ltq._declared import DeclaredTask
from ltq._scheduler.declare import check_misfire
from ltq._sender.sent import Sent
from ltq.broker import ScheduleRecord
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Published
from ltq.names import namespace_of
from ltq.schedule import DueSlots, Misfire, Schedule, search_due, slot_id


class Plan(Protocol):
    """What a running scheduler needs of a schedule."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str: ...

    @property
    def spec(self) -> str:
        """What it says, as text, for the broker."""
        ...

    @property
    def put(self) -> str:
        """The digest it was put with; empty for one that is declared in code."""
        ...

    @property
    def misfire(self) -> Misfire: ...

    @property
    def zone(self) -> tzinfo: ...

    def next(self, after: int) -> int:
        """The first slot later than `after`."""
        ...

    def search_due(self, after: int, now: float, grace: float) -> Steps[DueSlots]:
        """See `Schedule.search_due`."""
        ...

    def envelope(self, slot: int, sent: Sent) -> Envelope:
        """The envelope of a slot's task."""
        ...

    def published(self, envelope: Envelope, answer: Published) -> None:
        """Tell event listeners what the broker did with it."""
        ...


class DeclaredPlan:
    """A schedule that is declared in the code of this process."""

    put = ""

    def __init__(self, schedule: Schedule) -> None:
        self._task = DeclaredTask.of(schedule.task)
        self._schedule = schedule
        self.name: str = schedule.name
        self.queue: str = schedule.task.queue
        self.spec: str = schedule.spec
        self.misfire: Misfire = schedule.misfire
        self.zone: tzinfo = schedule.zone
        self.next = schedule.next
        self.search_due = schedule.search_due

    def envelope(self, slot: int, sent: Sent) -> Envelope:
        """See `Plan`."""
        message = self._schedule.message
        message = self._task.message() if message is None else message
        return self._task.envelope(message, self._schedule.task_id(slot), sent)

    def published(self, envelope: Envelope, answer: Published) -> None:
        """See `Plan`."""
        self._task.published(envelope, answer)


class KeptPlan:
    """A schedule that the broker keeps. Nothing of its task's code is needed."""

    def __init__(self, record: ScheduleRecord) -> None:
        """Raise `ConfigurationError` if it cannot be run, by this version at least."""
        schedule = record.schedule
        if schedule is None:
            raise ConfigurationError("it cannot be read")
        self._cron = parse_cron(schedule.expr, schedule.tz)
        self._envelope = schedule.envelope
        self.name: str = record.name
        self.queue: str = schedule.envelope.queue
        self.spec: str = record.spec
        self.put: str = record.put
        self.misfire: Misfire = check_misfire(schedule.misfire)
        self.zone: tzinfo = self._cron.zone
        self.next = self._cron.next
        if namespace_of(self.queue) != record.namespace:
            raise ConfigurationError(f"its queue {self.queue!r} is not of this namespace")

    def search_due(self, after: int, now: float, grace: float) -> Steps[DueSlots]:
        """See `Plan`."""
        return search_due(self._cron, self.misfire, after, now, grace)

    def envelope(self, slot: int, sent: Sent) -> Envelope:
        """See `Plan`."""
        return replace(self._envelope, id=slot_id(self.name, slot), has_new_id=False)

    def published(self, envelope: Envelope, answer: Published) -> None:
        """Nobody listens here to what is sent."""
