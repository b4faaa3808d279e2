"""Random walks with schedulers: several, that know more or less of what the others have fired."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, precondition, rule
from msgspec.structs import replace

from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.message import Published
from ltq.options import Priority
from tests.model.machine import Machine, final, ttls
from tests.model.slots import ScheduleTable
from tests.model.steered import Steered
from tests.model.stores import Store

schedulers = st.integers(0, 2)
schedules = st.sampled_from(["day", "night"])
specs = st.sampled_from(["old", "old", "old", "new"])
dues = st.sampled_from([-1000, 100_000, 100_000])
"""When the next slot is due, from now: long ago, then another spec may take over, or later."""


steps = st.lists(st.sampled_from([1, 1, 1, 2]), min_size=2, max_size=3)
"""How far ahead each scheduler looks: the clock of one may be before that of another."""


class Punctual(Steered):
    """Adds schedules. Each scheduler believes in the last slot it was told of."""

    def __init__(self, make: Callable[[], Store]) -> None:
        super().__init__(make)
        self.slots = ScheduleTable(self.model.publish)
        self.sent_slots: list[ScheduleSlot] = []
        self.believed: dict[tuple[int, str, str], int] = {}
        self.since: dict[tuple[int, str, str], float] = {}
        self.fired: set[tuple[str, int]] = set()
        self.seen: dict[str, int] = {}

    @rule(scheduler=schedulers, schedule=schedules, spec=specs, due=dues)
    def ask(self, scheduler: int, schedule: str, spec: str, due: int) -> None:
        """A scheduler starts: it asks for the last slot, or the schedule begins now."""
        if self.refuses_writes:
            return
        now = self.begin_now()
        queue, next_due = self.store.queues[0], int(now) + due
        slot = ScheduleSlot(
            schedule=schedule,
            queue=queue,
            spec=self.spec_of(spec),
            due=next_due,
            scheduler=f"{scheduler}-{spec}",
        )
        latest, begins = self.slots.latest_holder(slot), self.slots.begins(slot, now)
        answer = self.run(self.broker.fire(slot))
        assert answer.since >= int(now)
        assert begins or answer.since > latest or answer.since >= now
        if begins:
            assert int(now) <= answer.last <= int(self.run(self.broker.time()))
            self.slots.begin(slot, answer.last, now, answer.since)
        else:
            self.compare(slot, self.slots.fire(slot, now, answer.since), replace(answer, since=0.0))
        self.believed[scheduler, schedule, spec] = answer.last
        self.since[scheduler, schedule, spec] = answer.since

    @rule(scheduler=schedulers, spec=specs)
    def leave(self, scheduler: int, spec: str) -> None:
        """A scheduler ends. It may be the one that was paused and goes on after that."""
        if self.refuses_writes:
            return
        now = self.begin_now()
        name = f"{scheduler}-{spec}"
        self.run(
            self.broker.fire(
                ScheduleSlot(
                    schedule="day",
                    queue=self.store.queues[0],
                    spec=self.spec_of(spec),
                    due=0,
                    scheduler=name,
                    leaves=True,
                )
            )
        )
        self.slots.leave(name, now)

    @rule(
        target=Machine.tasks,
        scheduler=schedulers,
        schedule=schedules,
        spec=specs,
        step=st.integers(1, 3),
        due=dues,
        passes=st.sampled_from([False, False, False, True]),
        options=st.sampled_from([{}, {"result_ttl": 0.0}, {"max_pending": 3}]),
    )
    def fire(
        self,
        scheduler: int,
        schedule: str,
        spec: str,
        step: int,
        due: int,
        passes: bool,
        options: dict[str, Any],
    ) -> Any:
        """A slot, as far as this scheduler knows: others may have been here meanwhile."""
        if (scheduler, schedule, spec) not in self.believed:
            self.ask(scheduler, schedule, spec, due)
        after = self.believed.get((scheduler, schedule, spec))
        if after is None or self.refuses_writes:
            return multiple()
        task_id = f"{schedule}-{after + step}"
        if not self.whole([task_id]):
            return multiple()
        envelope = self.envelope(task_id, 0, 0.0, Priority.NORMAL, options)
        slot = ScheduleSlot(
            schedule=schedule,
            queue=envelope.queue,
            spec=self.spec_of(spec),
            after=after,
            slot=after + step,
            due=int(self.run(self.broker.time())) + due,
            envelope=None if passes else envelope,
            scheduler=f"{scheduler}-{spec}",
            since=self.since[scheduler, schedule, spec],
        )
        self.sent_slots.append(slot)
        self.believed[scheduler, schedule, spec] = self.told(slot).last
        return multiple(task_id)

    @rule(target=Machine.tasks, schedule=schedules, spec=specs, steps=steps, ttl=ttls)
    def race(self, schedule: str, spec: str, steps: list[int], ttl: float) -> Any:
        """All schedulers wake up, and the tasks of the first ends before the last is there."""
        ids: list[str] = []
        for scheduler, step in enumerate(steps):
            options = {"result_ttl": ttl}
            ids += self.fire(scheduler, schedule, spec, step, 100_000, False, options).values
            for lease in self.taken("b", 1, 10, 0):
                self.finished([final(lease, "c", ttl)])
        return multiple(*ids)

    @precondition(lambda self: self.sent_slots)
    @rule(number=st.integers(0, 3))
    def fire_again(self, number: int) -> None:
        """The reply was lost, or a scheduler that was paused goes on where it was."""
        slot = self.sent_slots[-1 - number % len(self.sent_slots)]
        if self.refuses_writes:
            return
        if slot.envelope is None or self.whole([slot.envelope.id]):
            self.told(slot)

    def told(self, slot: ScheduleSlot) -> SlotReceipt:
        """Fire it in both, and see that no slot is enqueued twice, whoever declares it how."""
        now = self.begin_now()
        expected = self.slots.fire(slot, now, slot.since)
        answer = self.run(self.broker.fire(slot))
        self.compare(slot, expected, answer)
        if answer.published is Published.CREATED:
            fired = (slot.schedule, slot.slot)
            assert fired not in self.fired, "a slot was enqueued twice"
            self.fired.add(fired)
        return answer

    def compare(self, slot: ScheduleSlot, expected: SlotReceipt, answer: SlotReceipt) -> None:
        """Compare answers. A schedule that changes hands goes on at the broker's time."""
        if answer.taken_over and expected.taken_over:
            latest = int(self.run(self.broker.time()))
            assert expected.last <= answer.last <= max(expected.last, latest)
            self.slots.went_on_after(slot.schedule, answer.last)
        else:
            assert answer == expected, slot

    @property
    def refuses_writes(self) -> bool:
        """Whether the broker takes no tasks now."""
        return False

    def spec_of(self, declared: str) -> str:
        """What a schedule says as it is declared so."""
        return declared

    def begin_now(self) -> float:
        """A step, at the time of the broker's clock."""
        self.begin()
        return self.run(self.broker.time())

    @invariant()
    def the_last_slot_never_goes_back(self) -> None:
        for schedule, kept in self.slots.kept.items():
            assert kept.last >= self.seen.get(schedule, 0), schedule
            self.seen[schedule] = kept.last
