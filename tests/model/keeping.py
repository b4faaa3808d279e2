"""Random walks with schedules that are put, replaced, removed, paused, resumed and triggered."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, rule
from msgspec import structs

from ltq.broker import ScheduleRecord, ScheduleSlot
from ltq.errors import ConfigurationError, QueueFullError, ScheduleNotFoundError
from ltq.message import Envelope, Published
from ltq.scheduler import Misfire, Scheduler
from ltq.worker import Worker
from tests.model.machine import Machine
from tests.model.punctual import Punctual, dues, schedulers, schedules
from tests.model.slots import Kept, Says
from tests.model.stores import Store

DAILY, YEARLY = "0 0 * * *", "0 0 1 1 *"
"""Expressions whose next slot is the same all through a walk."""

MOST = 6
"""Tasks that may wait in the queue of these schedules."""

exprs = st.sampled_from([DAILY, DAILY, YEARLY])
words = st.sampled_from(["a", "a", "b"])
misfires: st.SearchStrategy[Misfire] = st.sampled_from(["once", "once", "all"])
sendings = st.sampled_from([{}, {}, {"result_ttl": 0.0}, {"keep_body": True}])


_EXPRS = {"daily": DAILY, "yearly": YEARLY}
_MOVES = "daily daily yearly pause resume follow follow fire fire fire declare leave remove"

moves = st.lists(
    st.sampled_from(_MOVES.split()),
    min_size=3,
    max_size=10,
)


async def tick(word: str) -> None:
    """The task of all these schedules."""


@dataclass
class View:
    """What a running scheduler knows of the schedules that the broker keeps."""

    latest: int = 0
    mark: int = 0
    records: dict[str, ScheduleRecord] = field(default_factory=dict)


class Keeping(Punctual):
    """Adds schedules at run time, and schedulers that follow the changes or miss them."""

    def __init__(self, make: Callable[[], Store]) -> None:
        super().__init__(make)
        self.scheduler = Scheduler(broker=self.broker)
        worker = Worker(self.store.namespace, broker=self.broker)
        self.tick = worker.task(name="first", max_pending=MOST)(tick)
        assert self.tick.queue == self.tick.name == self.store.queues[0]
        self.views: dict[int, View] = defaultdict(View)
        self.digests: dict[tuple[str, Says], str] = {}
        self.moves: dict[str, Callable[[int, str], Any]] = {
            "pause": lambda _, schedule: self.pause_schedule(schedule, 1),
            "resume": lambda _, schedule: self.resume_schedule(schedule, 1),
            "remove": lambda _, schedule: self.remove(schedule),
            "follow": lambda scheduler, _: self.follow(scheduler),
        }

    def spec_of(self, declared: str) -> str:
        """One declaration in code says the same as one that is put."""
        return self.kept_spec(DAILY) if declared == "old" else declared

    def kept_spec(self, expr: str) -> str:
        return f"{expr} UTC {self.tick.name}"

    # Changes

    @rule(schedule=schedules, expr=exprs, word=words, misfire=misfires, options=sendings)
    def put(
        self, schedule: str, expr: str, word: str, misfire: Misfire, options: dict[str, Any]
    ) -> None:
        if self.refuses_writes:
            return
        says = Says(expr, word, misfire, tuple(options.items()))
        first = self.putting(schedule, says)
        message = self.tick.with_options(**options).message(word)
        call = self.scheduler.put(schedule, expr, message, misfire=misfire)
        if first is None:
            with pytest.raises(ConfigurationError, match="declared in code"):
                self.run(call)
            return
        self.run(call)
        last = self.putting(schedule, says)
        record = self.record(schedule)
        assert last is not None
        assert first.last <= record.last <= last.last, "where it goes on"
        self.slots.kept[schedule] = replace(first, last=record.last, put=record.put)
        self.check_put(says, record)

    def putting(self, schedule: str, says: Says) -> Kept | None:
        """What should be known of a schedule if this is put now."""
        now = self.begin_now()
        due = first_slot(says.expr, now)
        return self.slots.putting(schedule, says, self.kept_spec(says.expr), due, now)

    def check_put(self, says: Says, record: ScheduleRecord) -> None:
        """All is kept that it says, and the digest tells whether that is the same."""
        assert record.schedule is not None
        envelope = record.schedule.envelope
        assert (record.schedule.expr, record.schedule.tz) == (says.expr, "UTC")
        assert (record.schedule.misfire, record.spec) == (says.misfire, self.kept_spec(says.expr))
        assert (envelope.task_name, envelope.queue) == (self.tick.name, self.tick.queue)
        assert f'"{says.word}"'.encode() in envelope.body
        for option, value in says.options:
            assert getattr(envelope, option) == value, option
        assert self.digests.setdefault((record.name, says), record.put) == record.put
        assert len({*self.digests.values()}) == len(self.digests)

    @rule(schedule=schedules)
    def remove(self, schedule: str) -> None:
        if self.refuses_writes:
            return
        now = self.begin_now()
        is_known = self.slots.look(schedule, now) is not None
        call = self.scheduler.remove(schedule)
        if self.slots.remove(schedule, now):
            self.run(call)
            self.seen.pop(schedule, None)  # put again it begins anew
            self.fired = {(name, slot) for name, slot in self.fired if name != schedule}
            return
        with pytest.raises(ConfigurationError if is_known else ScheduleNotFoundError):
            self.run(call)

    @rule(schedule=schedules, times=st.integers(1, 2))
    def pause_schedule(self, schedule: str, times: int) -> None:
        for _ in range(times):
            self.steer(schedule, self.slots.pause, self.scheduler.pause)

    @rule(schedule=schedules, times=st.integers(1, 2))
    def resume_schedule(self, schedule: str, times: int) -> None:
        for _ in range(times):
            self.steer(schedule, self.slots.resume, self.scheduler.resume)

    def steer(
        self,
        schedule: str,
        expect: Callable[[str, float], bool],
        call: Callable[[str], Awaitable[None]],
    ) -> None:
        if self.refuses_writes:
            return
        began = self.begin_now()
        if not expect(schedule, began):
            with pytest.raises(ScheduleNotFoundError, match=schedule):
                self.run(self.awaited(call(schedule)))
            return
        self.run(self.awaited(call(schedule)))
        kept, resumed = self.slots.kept[schedule], self.record(schedule).resumed
        if kept.resumed == began:  # the broker says when, to the microsecond
            assert began <= resumed <= self.run(self.broker.time())
            self.slots.kept[schedule] = replace(kept, resumed=resumed)

    async def awaited(self, call: Awaitable[None]) -> None:
        await call

    @rule(target=Machine.tasks, schedule=schedules, given=st.none() | Machine.tasks)
    def trigger(self, schedule: str, given: str | None) -> Any:
        """Also with the id of a task that is there, or was."""
        if self.refuses_writes or not self.whole([given or ""]):
            return multiple()
        now = self.begin_now()
        kept = self.slots.look(schedule, now)
        call = self.scheduler.trigger(schedule, id=given)
        if kept is None or not kept.put:
            with pytest.raises(ConfigurationError if kept else ScheduleNotFoundError):
                self.run(call)
            return multiple()
        envelope = self.task_of(self.record(schedule), given or "new")
        if given is None and self.model.would_create([envelope]):
            new = self.run(call)
            assert new.startswith(f"{schedule}:")
            assert self.model.publish(structs.replace(envelope, id=new), now) is Published.CREATED
            return multiple(new)
        expected = self.model.publish(envelope, now)
        if expected in (Published.CREATED, Published.EXISTS):
            assert self.run(call) == given
        else:
            is_full = expected is Published.FULL
            with pytest.raises(QueueFullError if is_full else ConfigurationError):
                self.run(call)
        return multiple()

    def task_of(self, record: ScheduleRecord, task_id: str) -> Envelope:
        """What a schedule enqueues."""
        assert record.schedule is not None
        return structs.replace(record.schedule.envelope, id=task_id)

    # Schedulers

    @rule(scheduler=schedulers)
    def follow(self, scheduler: int) -> None:
        """A scheduler takes in what was changed since it looked last: then it knows all."""
        self.begin()
        view, namespace = self.views[scheduler], self.store.namespace
        mark = self.run(self.broker.schedule_marks()).get(namespace, 0)
        changes = self.run(self.broker.changed_schedules(namespace, view.latest))
        assert (changes.has_more, changes.latest >= view.latest) == (False, True)
        assert mark != view.mark or not (changes.records or changes.gone)
        for name in changes.gone:
            view.records.pop(name, None)
        view.records |= {record.name: record for record in changes.records}
        view.latest, view.mark = changes.latest, mark
        known = {name: kept for name, kept in self.slots.kept.items() if kept.was_changed}
        assert view.records.keys() == known.keys()
        for name, kept in known.items():
            record = view.records[name]
            seen = record.put, record.is_paused, record.resumed
            assert seen == (kept.put, kept.is_paused, kept.resumed), name

    @rule(
        target=Machine.tasks,
        scheduler=schedulers,
        schedule=schedules,
        step=st.integers(1, 3),
        due=dues,
        passes=st.sampled_from([False, False, False, True]),
    )
    def fire_kept(self, scheduler: int, schedule: str, step: int, due: int, passes: bool) -> Any:
        """A slot of what was put, as far as this scheduler knows: others may have been here, or it
        may have been changed meanwhile."""
        view = self.views[scheduler]
        if schedule not in view.records:
            self.follow(scheduler)
        record = view.records.get(schedule)
        if record is None or not record.put or self.refuses_writes:
            return multiple()
        task_id = f"{schedule}-{record.last + step}"
        if not self.whole([task_id]):
            return multiple()
        slot = ScheduleSlot(
            schedule=schedule,
            queue=self.tick.queue,
            spec=record.spec,
            after=record.last,
            slot=record.last + step,
            due=int(self.run(self.broker.time())) + due,
            envelope=None if passes else self.task_of(record, task_id),
            put=record.put,
        )
        self.sent_slots.append(slot)
        receipt = self.told(slot)
        if not receipt.is_gone:
            view.records[schedule] = structs.replace(record, last=receipt.last)
        return multiple(task_id)

    @rule(target=Machine.tasks, scheduler=schedulers, schedule=schedules, moves=moves, due=dues)
    def steered(self, scheduler: int, schedule: str, moves: list[str], due: int) -> Any:
        """Several changes of one schedule, with slots in between."""
        ids: list[str] = []
        for move in moves:
            ids += self.move(move, scheduler, schedule, due)
        return multiple(*ids)

    def move(self, move: str, scheduler: int, schedule: str, due: int) -> Sequence[str]:
        """Make one change; returns the id of a task that it may have sent."""
        if move in _EXPRS:
            self.put(schedule, _EXPRS[move], "a", "once", {})
        elif move == "fire":
            return list(self.fire_kept(scheduler, schedule, 1, due, False).values)
        elif move == "declare":
            return list(self.fire(scheduler, schedule, "old", 1, due, False, {}).values)
        elif move == "leave":
            for one in range(3):
                self.leave(one, "old")
                self.leave(one, "new")
        else:
            self.moves[move](scheduler, schedule)
        return []

    # Looking

    def record(self, schedule: str) -> ScheduleRecord:
        (record,) = self.run(self.broker.schedules([schedule], self.store.namespace))
        return record

    @rule()
    def list_schedules(self) -> None:
        now = self.begin_now()
        shown = {
            name: ("put" if kept.put else "code", kept.is_paused, kept.fired)
            for name in sorted(self.slots.kept)
            if (kept := self.slots.look(name, now)) and (kept.put or kept.is_paused)
        }
        infos = self.run(self.scheduler.list())
        assert [one.name for one in infos] == [*shown]
        for one in infos:
            assert (one.origin, one.paused, one.last) == shown[one.name]
            assert (one.next is None) == one.paused

    @invariant()
    def schedules_as_in_the_model(self) -> None:
        now = self.run(self.broker.time())
        names = [name for name in self.slots.kept if self.slots.look(name, now)]
        records = self.run(self.broker.schedules(["day", "night"], self.store.namespace))
        assert sorted(record.name for record in records) == sorted(names)
        for record in records:
            kept = self.slots.kept[record.name]
            seen = (record.spec, record.put, record.is_paused, record.resumed)
            assert seen == (kept.spec, kept.put, kept.is_paused, kept.resumed)
            assert (record.last, record.fired) == (kept.last, kept.fired), record.name


def first_slot(expr: str, now: float) -> int:
    """The first slot of one of these expressions after a moment."""
    if expr == DAILY:
        return int(now // 86400 + 1) * 86400
    year = datetime.fromtimestamp(now, UTC).year
    return int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
