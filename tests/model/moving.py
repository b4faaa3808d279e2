"""Random walks on which tasks, letters and schedules go to another store, and come from one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule
from msgspec.structs import replace

from ltq.broker import Parcel, ScheduleRecord
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Failure, Published
from ltq.options import Priority
from ltq.state import Status
from tests.model.exchange import Goods
from tests.model.keeping import Keeping, exprs, first_slot, words
from tests.model.machine import UNIQUE_FOR, Machine, delays, final, queues, sendings, ttls
from tests.model.mortal import some_tasks
from tests.model.punctual import schedules
from tests.model.slots import Kept, Says
from tests.model.steered import batches
from tests.model.stores import Store
from tests.model.tasks import Task

CHANGES = ["claim", "cancel", "clear", "promote", "end", "replay", "again", "send", "overtake"]
"""What happens to tasks, but for their moves."""

STORIES = [
    "adopt",
    "claim drop adopt",
    "end drop adopt",
    "cancel drop adopt",
    "clear send drop",
    "again drop adopt",
    "replay drop adopt",
    "overtake drop adopt claim",
    "drop adopt cancel adopt",
    "drop adopt end adopt drop",
    "drop adopt clear adopt",
    "drop adopt again adopt",
    "drop adopt promote claim adopt",
    "drop send adopt drop",
    "drop adopt drop adopt claim",
]

stories = st.one_of(
    st.sampled_from([story.split() for story in STORIES]),
    st.lists(st.sampled_from([*CHANGES, *["drop", "adopt"] * 4]), min_size=1, max_size=5),
)
"""What happens to tasks after they were packed, in this order."""

NOT_KEPT = {
    *("delay", "eta", "max_pending", "on_full", "full_timeout", "has_new_id"),
    *("lane", "fingerprint", "unique_for"),
}
"""What is the sender's, or told otherwise: by the parcel what is left of the last two."""


class Moving(Keeping):
    """Adds what hands tasks to another store and takes them over. Each call may be repeated.

    The other store is the test itself: it keeps the parcels, and gives them back at any time.
    """

    goods = Bundle("goods")

    def __init__(self, make: Callable[[], Store]) -> None:
        super().__init__(make)
        self.elsewhere: list[tuple[ScheduleRecord, Says]] = []
        """Schedules as they were put here once."""

    def look(self) -> None:
        """Let the broker tell when all tasks were sent, and when they died."""
        self.all_as_in_the_model()
        self.letters_as_in_the_model()

    # Packing

    @rule(target=goods, task_ids=some_tasks, queue=queues, count=st.integers(0, 3))
    def pack(self, task_ids: list[str], queue: int, count: int) -> Any:
        """Also tasks in other places, of another queue, and twice the same."""
        return multiple(*self.packed(self.waiting(queue)[:count] + task_ids, queue))

    @rule(target=goods, task_ids=some_tasks, queue=queues, count=st.integers(0, 3))
    def pack_dead(self, task_ids: list[str], queue: int, count: int) -> Any:
        """Also ids without a letter, of another queue, and twice the same."""
        return multiple(*self.packed_dead(self.mixed(task_ids, count, queue), queue))

    def waiting(self, queue: int) -> list[str]:
        name = self.store.queues[queue]
        places = (Status.DELAYED, Status.PENDING)
        return [task.id for place in places for task in self.model.of(place, name)]

    def packed(self, task_ids: list[str], queue: int) -> list[Goods]:
        self.look()
        self.begin()
        before = self.store.dump()
        name, ids = self.store.queues[queue], self.whole(task_ids + task_ids[:1])
        parcels = self.run(self.broker.pack(name, ids))
        for task_id, parcel in zip(ids, parcels, strict=True):
            task = self.model.to_pack(name, task_id)
            assert (parcel is None) == (task is None), task_id
            if task is not None and parcel is not None:
                self.check_parcel(task, task.status, parcel)
                due = self.run(self.broker.state(name, task_id)).due_time
                assert parcel.when == (due or 0.0)
        assert self.store.dump() == before
        return [Goods(parcel) for parcel in parcels if parcel is not None]

    def packed_dead(self, ids: list[str], queue: int) -> list[Goods]:
        self.look()
        self.begin()
        before, found = self.store.dump(), []
        name = self.store.queues[queue]
        parcels = self.run(self.broker.pack_dead(name, ids))
        for task_id, parcel in zip(ids, parcels, strict=True):
            letter = self.model.letter_to_pack(name, task_id)
            assert (parcel is None) == (letter is None), task_id
            if letter is not None and parcel is not None:
                self.check_parcel(letter.task, letter.status, parcel, error=letter.error)
                assert parcel.when == letter.moment
                found.append(Goods(parcel, letter.aged))
        assert self.store.dump() == before
        return found

    def check_parcel(
        self, task: Task, status: Status, parcel: Parcel, error: str | None = None
    ) -> None:
        """It has all that is known of the task."""
        sent, got, until = task.envelope, parcel.envelope, self.model.unique_until(task)
        for name in Envelope.__struct_fields__:
            if name not in NOT_KEPT:
                assert getattr(got, name) == getattr(sent, name), name
        assert (got.lane or got.queue) == (sent.lane or sent.queue)
        assert got.fingerprint == (sent.fingerprint if until else "")
        assert bool(parcel.unique_until) == bool(until)
        self.check_counts(task, status, parcel)
        assert task.moment in (None, parcel.enqueue_time)
        failure = None if parcel.failure is None else parcel.failure.text
        assert failure == (error or task.error)

    def check_counts(self, task: Task, status: Status, parcel: Parcel) -> None:
        counts = (parcel.tries, parcel.deaths, parcel.dequeue_count, parcel.requeue_count)
        tries = task.tries + (status is Status.FAILED)
        assert counts == (tries, task.deaths, task.dequeues, task.requeues)
        assert (parcel.status, parcel.worker) == (status, task.worker)
        assert (parcel.last_dequeue_time is not None) == (task.dequeues > 0)
        assert (parcel.last_requeue_time is not None) == task.came

    # Dropping and adopting

    @rule(some=st.lists(goods, max_size=3))
    def drop(self, some: list[Goods]) -> None:
        self.dropped(some)

    def dropped(self, some: Sequence[Goods]) -> None:
        """The reply may be lost: the same again is the same answer, and changes nothing."""
        self.look()
        self.begin()
        some = [one for one in some if self.whole([one.id])]
        parcels = [one.parcel for one in some]
        stay = sorted(one.id for one in some if not self.model.drop(one))
        assert sorted(self.run(self.broker.drop(parcels))) == stay
        before = self.store.dump()
        assert sorted(self.run(self.broker.drop(parcels))) == stay
        assert self.store.dump() == before

    @rule(some=st.lists(goods, max_size=3))
    def adopt(self, some: list[Goods]) -> None:
        """What was packed here comes back, or it never went; also twice at once."""
        self.take_over(some)

    def take_over(self, some: Sequence[Goods]) -> None:
        """The reply may be lost: then all of it is there, and is not taken over again."""
        some = [one for one in some if self.whole([one.id])]
        if self.refuses_writes:
            return
        self.look()
        now, parcels = self.begin(), [one.parcel for one in some]
        answers = [
            self.model.adopt(self.due(one), now, self.store.token_of(one.parcel)) for one in some
        ]
        assert self.run(self.broker.adopt(parcels)) == answers
        before, known = self.store.dump(), (Published.CREATED, Published.EXISTS)
        again = [Published.EXISTS if one in known else one for one in answers]
        assert self.run(self.broker.adopt(parcels)) == again
        assert self.store.dump() == before

    def due(self, goods: Goods) -> Goods:
        """What the model is told: on Redis due times are not those of its clock."""
        parcel = goods.parcel
        if parcel.status is not Status.DELAYED:
            return goods
        return goods._replace(parcel=replace(parcel, when=self.store.due(parcel.when)))

    # From another store

    @rule(
        target=Machine.tasks,
        queue=queues,
        count=st.integers(1, 3),
        delay=delays,
        priority=st.sampled_from(Priority),
        options=sendings,
        runs=st.integers(0, 2),
        deaths=st.integers(0, 1),
        status=st.sampled_from([Status.PENDING] * 2 + [Status.FAILED, Status.REJECTED]),
    )
    def arrive(
        self,
        queue: int,
        count: int,
        delay: float,
        priority: Priority,
        options: dict[str, Any],
        runs: int,
        deaths: int,
        status: Status,
    ) -> Any:
        """Tasks and dead letters that were never here, with what happened to them elsewhere."""
        now, new = self.run(self.broker.time()), []
        options = {name: value for name, value in options.items() if name != "max_pending"}
        for _ in range(count):
            self.count += 1
            sent = self.envelope(f"far-{self.count}", queue, 0.0, priority, options)
            is_delayed = delay > 0 and not status.is_final
            new.append(
                Parcel(
                    envelope=replace(sent, unique_for=0.0),
                    status=Status.DELAYED if is_delayed else status,
                    when=now + delay if is_delayed else now * status.is_final,
                    unique_until=(now + UNIQUE_FOR) * bool(sent.fingerprint),
                    enqueue_time=now - 1.0,
                    last_dequeue_time=now - 0.5 if runs else None,
                    last_requeue_time=now - 0.25 if runs else None,
                    dequeue_count=runs,
                    requeue_count=runs,
                    tries=runs,
                    deaths=deaths * bool(runs),
                    worker="far" if runs else None,
                    failure=Failure("OSError", "OSError: far") if runs else None,
                )
            )
        self.take_over([Goods(self.exact(one)) for one in new])
        return multiple(*[one.envelope.id for one in new])

    def exact(self, parcel: Parcel) -> Parcel:
        """With moments as all stores tell them."""
        names = ("when", "unique_until", "enqueue_time", "last_dequeue_time", "last_requeue_time")
        moments = {name: getattr(parcel, name) for name in names}
        rounded = {name: float(f"{one:.6f}") for name, one in moments.items() if one is not None}
        return replace(parcel, **rounded)

    @rule(task_id=Machine.tasks, is_named_so=st.booleans(), queue=queues)
    def arrive_with_an_id(self, task_id: str, is_named_so: bool, queue: int) -> None:
        """Another task has, or had, the id here."""
        task = self.model.tasks.get(task_id)
        sent = self.envelope(task_id, queue, 0.0, Priority.HIGH, {})
        if task is not None and not is_named_so:
            sent = replace(task.envelope, delay=0.0, fingerprint="", max_pending=None)
        moment = self.run(self.broker.time()) - 0.5
        parcel = Parcel(envelope=sent, status=Status.PENDING, enqueue_time=moment)
        self.take_over([Goods(self.exact(parcel))])

    # On the way

    @rule(target=goods, queue=queues, options=batches, story=stories, ttl=ttls)
    def carry(
        self,
        queue: int,
        options: list[dict[str, Any]],
        story: list[str],
        ttl: float,
    ) -> Any:
        """Tasks that wait are packed, the last ones first, and things happen to them here."""
        self.sent(queue, options)
        found = self.packed(self.waiting(queue)[::-1][:4], queue)
        return self.told_of(found, queue, story, ttl)

    @rule(target=goods, queue=queues, deaths=st.integers(0, 2), story=stories, ttl=ttls)
    def carry_dead(self, queue: int, deaths: int, story: list[str], ttl: float) -> Any:
        """So are dead letters."""
        self.end_some(queue, ["f"] * deaths, {})
        found = self.packed_dead(self.mixed([], 3, queue), queue)
        return self.told_of(found, queue, story, ttl)

    def told_of(self, found: list[Goods], queue: int, story: list[str], ttl: float) -> Any:
        if found and not self.refuses_writes:
            for change in story:
                self.change(change, queue, found, ttl)
        return multiple(*found)

    def change(self, change: str, queue: int, found: Sequence[Goods], ttl: float) -> None:
        """Something happens to what was packed, or to others with its ids. It may be nothing."""
        ids = self.whole([one.id for one in found])
        changes: dict[str, Callable[[], object]] = {
            "claim": lambda: self.taken("b", 2, 10, 0),
            "end": lambda: self.end_all(ttl),
            "cancel": lambda: [self.cancel(one, ttl) for one in ids],
            "clear": lambda: self.clear(queue),
            "promote": lambda: self.promote(ids, queue, False),
            "replay": lambda: self.replay(ids, 3, queue),
            "again": lambda: self.die_once_more(ids, queue, ttl),
            "send": lambda: self.published(
                [self.envelope(one, queue, 0.0, Priority.HIGH, {}) for one in ids]
            ),
            "overtake": lambda: self.overtake_all(ids),
            "drop": lambda: self.dropped(found),
            "adopt": lambda: self.take_over(found),
        }
        changes[change]()

    def overtake_all(self, task_ids: list[str]) -> None:
        """The times of all these come."""
        for task_id in task_ids:
            self.pass_over(task_id, 1)

    def die_once_more(self, task_ids: list[str], queue: int, ttl: float) -> None:
        """These letters are replayed, and their tasks fail."""
        self.replay(task_ids, 3, queue)
        self.end_all(ttl)

    def end_all(self, ttl: float) -> None:
        """All that is ready fails."""
        self.finished([final(lease, "f", ttl) for lease in self.taken("b", 2, 10, 0)])

    # Schedules

    def check_put(self, says: Says, record: ScheduleRecord) -> None:
        super().check_put(says, record)
        self.elsewhere.append((record, says))

    @rule(
        number=st.integers(0, 3),
        schedule=schedules,
        puts=st.lists(st.tuples(exprs, words), max_size=2),
        earlier=st.sampled_from([0, 1, 3600]),
        is_paused=st.booleans(),
        fired=st.booleans(),
    )
    def adopt_schedule(
        self,
        number: int,
        schedule: str,
        puts: list[tuple[str, str]],
        earlier: int,
        is_paused: bool,
        fired: bool,
    ) -> None:
        """One that was put here once comes from another store. The reply may be lost."""
        for expr, word in puts:
            self.put(schedule, expr, word, "once", {})
        if self.refuses_writes or not self.elsewhere:
            return
        named = [one for one in self.elsewhere if one[0].name == schedule] or self.elsewhere
        record, says = named[-1 - number % len(named)]
        last = record.last - earlier
        record = replace(
            record, last=last, fired=last if fired else None, is_paused=is_paused, resumed=1e5
        )
        due = first_slot(says.expr, last)
        arrived = Kept(
            record.spec,
            last,
            due,
            put=record.put,
            says=says,
            is_paused=is_paused,
            resumed=record.resumed,
            fired=record.fired,
        )
        for _ in range(2):
            now = self.begin_now()
            is_kept = self.slots.adopt(record.name, arrived, now)
            assert self.run(self.broker.adopt_schedule(record, due)) == is_kept
            if self.slots.kept[record.name].last == last:  # it may have gone back
                self.seen.pop(record.name, None)
                self.fired = {one for one in self.fired if one[0] != record.name}

    @rule(schedule=schedules, queue=queues)
    def adopt_what_was_not_put(self, schedule: str, queue: int) -> None:
        record = ScheduleRecord(
            name=schedule, namespace=self.store.namespace, spec=self.store.queues[queue], last=1
        )
        with pytest.raises(ConfigurationError, match="was not put"):
            self.run(self.broker.adopt_schedule(record, 2))
