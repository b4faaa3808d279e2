"""Random walks through every operation of a broker, compared with a model after each step."""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from operator import ge
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from ltq.errors import TaskNotFoundError
from ltq.message import Delivery, Envelope, Failure, Finish, Lease, Outcome, Requeue
from ltq.options import Priority
from ltq.state import Progress, Status
from tests.model.reference import Model
from tests.model.stores import LEASE, Store

T = TypeVar("T")

FAR = 10_000.0
UNIQUE_FOR = 5000.0
HOUR = 3600.0

steps: Counter[str] = Counter()
"""How many operations were compared, by broker."""

delays = st.sampled_from([0.0, 0.0, FAR, 2 * FAR])
ttls = st.sampled_from([HOUR, HOUR, 0.0])
names = st.sampled_from("ab")
lanes = st.sampled_from([1, 2])
queues = st.sampled_from([0, 1])
pasts = st.integers(1, 4)
limits = st.sampled_from([0, 1, 2, 3, 10])
runnings = st.sampled_from([0, 0, 0, 1, 9, 10, 100])
OTHER_TASK = "model:other"
"""A task that is not named as its queue."""

sendings = st.fixed_dictionaries(
    {},
    optional={
        "max_pending": st.integers(1, 6),
        "max_deliveries": st.sampled_from([1, 2, 2, 3, 3]),
        "result_ttl": ttls,
        "tags": st.sampled_from([(), ("a",), ("b", "a")]),
        "keep_body": st.booleans(),
        "fingerprint": st.sampled_from(["", "", "", "f", "g"]),
        "task_name": st.just(OTHER_TASK),
    },
)


class Machine(RuleBasedStateMachine):
    """Drives a broker and the model side by side."""

    tasks = Bundle("tasks")
    leases = Bundle("leases")

    def __init__(self, make: Callable[[], Store]) -> None:
        super().__init__()
        self.store: Store = make()
        self.broker = self.store.broker
        self.model: Model = self.store.model()
        self.count = 0
        self.highest: dict[tuple[str, int], tuple[int, int, int]] = {}
        self.run(self.store.open())

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.store.loop.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.store.loop.run_until_complete(call)

    def begin(self) -> float:
        """A step: time goes on, and what is over is forgotten."""
        steps[type(self.store).__name__] += 1
        self.store.tick()
        self.model.steps += 1
        self.model.purge(self.store.now)
        return self.store.now

    def end_of(self, duration: float) -> float:
        return self.store.now + duration

    def whole(self, task_ids: list[str]) -> list[str]:
        """Those whose record nobody broke: what a broken one does to its next life is not said."""
        return [task_id for task_id in task_ids if task_id not in self.model.ghosts]

    # Waiting tasks

    @initialize(target=tasks, count=st.integers(1, 4))
    def first(self, count: int) -> Any:
        return self.publish(count, 0, 0.0, Priority.NORMAL, {})

    @rule(
        target=tasks,
        count=st.integers(1, 4),
        queue=st.sampled_from([0, 0, 1]),
        delay=delays,
        priority=st.sampled_from(Priority),
        options=sendings,
    )
    def publish(
        self, count: int, queue: int, delay: float, priority: Priority, options: dict[str, Any]
    ) -> Any:
        new = []
        for _ in range(count):
            self.count += 1
            new.append(f"{self.count * 7919 % 1000:03d}-{self.count}")  # not in order of sending
        self.published([self.envelope(i, queue, delay, priority, options) for i in new])
        return multiple(*new)

    def envelope(
        self, task_id: str, queue: int, delay: float, priority: Priority, options: dict[str, Any]
    ) -> Envelope:
        name = self.store.queues[queue]
        body = f'"{task_id}"'.encode()
        options = {"task_name": name, **options}
        if "fingerprint" in options:
            options = {"unique_for": UNIQUE_FOR, **options}
        return Envelope(
            id=task_id, queue=name, body=body, delay=delay, priority=priority, **options
        )

    def published(self, envelopes: list[Envelope]) -> None:
        now = self.begin()
        expected = [self.model.publish(envelope, now) for envelope in envelopes]
        assert self.run(self.broker.publish(envelopes)) == expected

    @rule(task_id=tasks, other=tasks, delay=delays, priority=st.sampled_from(Priority))
    def publish_again(self, task_id: str, other: str, delay: float, priority: Priority) -> None:
        """Ids that are there, were there, or come twice in one call."""
        ids = self.whole([task_id, other, task_id])
        self.published([self.envelope(one, 0, delay, priority, {}) for one in ids])

    @rule(task_id=tasks, result_ttl=ttls)
    def cancel(self, task_id: str, result_ttl: float) -> None:
        now = self.begin()
        expected = self.model.cancel(task_id, result_ttl, now)
        queue = self.store.queues[0]
        if expected is None:
            with pytest.raises(TaskNotFoundError):
                self.run(self.broker.cancel(queue, task_id, result_ttl))
        else:
            assert self.run(self.broker.cancel(queue, task_id, result_ttl)) == expected

    @precondition(lambda self: len(self.model.tasks) > 3)
    @rule(queue=st.sampled_from([0, 1]))
    def clear(self, queue: int) -> None:
        self.begin()
        name = self.store.queues[queue]
        assert self.run(self.broker.clear(name)) == self.model.clear(name)

    # Working tasks

    @rule(target=leases, name=names, served=lanes, limit=limits, running=runnings)
    def claim(self, name: str, served: int, limit: int, running: int) -> Any:
        got = self.claimed(name, served, limit, running)
        return multiple(*[delivery.lease for delivery in got])

    def claimed(self, name: str, served: int, limit: int, running: int) -> list[Delivery]:
        self.begin()
        got = self.run(self.store.consumers[name, served].claim(limit, running))
        self.store.claimed(self.model, self.store.claiming(name, served, limit, running, got))
        return got.deliveries

    @rule(lease=leases, duration=st.sampled_from([LEASE, 2 * LEASE, 60.0]))
    def heartbeat(self, lease: Lease, duration: float) -> None:
        self.begin()
        before = None if self.model.holds(lease) else self.store.dump()
        lost = [] if self.model.renew(lease, self.end_of(duration)) else [lease]
        assert self.run(self.broker.heartbeat([lease], duration)) == lost
        assert before is None or self.store.dump() == before

    @rule(lease=leases, current=st.integers(0, 9))
    def progress(self, lease: Lease, current: int) -> None:
        self.begin()
        before = None if self.model.holds(lease) else self.store.dump()
        progress = Progress(float(current), 9.0, "é")
        expected = self.model.show(lease, progress)
        assert self.run(self.broker.progress(lease, progress)) == expected
        assert before is None or self.store.dump() == before

    @rule(
        lease=leases,
        first=st.integers(0, 4),
        count=st.integers(1, 3),
        most=st.sampled_from([2, 100]),
    )
    def append(self, lease: Lease, first: int, count: int, most: int) -> None:
        self.begin()
        before = None if self.model.holds(lease) else self.store.dump()
        items = [b"%d" % number for number in range(first, first + count)]
        expected = self.model.append(lease, first, items, most)
        assert self.run(self.broker.append(lease, first, items, most)) == expected
        assert before is None or self.store.dump() == before
        self.read_items(lease.id)

    @rule(task_id=tasks)
    def read_items(self, task_id: str) -> None:
        task = self.model.find(task_id)
        if task is None or task.broken:
            return
        found = self.run(self.broker.items(self.store.queues[0], task_id))
        assert found is not None
        kept = task.items if task.streamed else ()
        assert (found.attempt, found.total) == (task.dequeues, task.streamed)
        assert (found.items, found.first) == (kept, task.streamed - len(kept))

    @rule(lease=leases, other=leases, status=st.sampled_from("cfrn"), result_ttl=ttls)
    def finish(self, lease: Lease, other: Lease, status: str, result_ttl: float) -> None:
        """The first as said; the second, another task's or the same, completed."""
        outcomes: list[Outcome] = [final(lease, status, result_ttl)]
        if other.id != lease.id or other == lease:
            outcomes.append(final(other, "c", HOUR))
        self.finished(outcomes)

    @rule(
        lease=leases,
        other=leases,
        delay=delays,
        failed=st.booleans(),
        front=st.booleans(),
        void=st.booleans(),
    )
    def requeue(
        self, lease: Lease, other: Lease, delay: float, failed: bool, front: bool, void: bool
    ) -> None:
        failure = Failure("OSError", "OSError: no") if failed else None
        outcomes: list[Outcome] = [
            Requeue(lease, delay=delay, failed=failed, front=front, failure=failure)
        ]
        if other.id != lease.id or other == lease:
            outcomes.append(Requeue(other, front=front, is_void=void))
        self.finished(outcomes)

    def finished(self, outcomes: list[Outcome]) -> None:
        now = self.begin()
        changes = any(self.model.holds(outcome.lease) for outcome in outcomes)
        before = None if changes else self.store.dump()
        expected = [self.model.finish(outcome, now) for outcome in outcomes]
        assert self.run(self.broker.finish(outcomes)) == expected
        assert before is None or self.store.dump() == before
        # A reply was lost: the same again is the same answer, and changes nothing.
        before = self.store.dump()
        assert self.run(self.broker.finish(outcomes)) == expected
        assert self.store.dump() == before

    @rule()
    def sweep(self) -> None:
        now = self.begin()
        assert self.run(self.broker.sweep(self.store.queues)) == self.model.sweep(now)

    # Time

    @rule(task_id=tasks, past=pasts)
    def overtake(self, task_id: str, past: int) -> None:
        """A lease ends, a delayed task is due, a final state expires."""
        self.pass_over(task_id, past)

    @rule(lease=leases, past=pasts)
    def lose(self, lease: Lease, past: int) -> None:
        self.pass_over(lease.id, past)

    @rule(target=leases, lease=leases, name=names)
    def die(self, lease: Lease, name: str) -> Any:
        """A worker loses its lease, another one takes the task, and then the first comes back."""
        if not self.model.holds(lease):
            return multiple()
        self.pass_over(lease.id, 1)
        got = self.claim(name, 2, 10, 0)
        self.finished([final(lease, "c", 0.0)])
        self.progress(lease, 1)
        self.heartbeat(lease, LEASE)
        return got

    def pass_over(self, task_id: str, past: int) -> None:
        self.begin()
        task = self.model.find(task_id)
        if task is not None and task.status is not Status.PENDING:
            self.store.overtake(task, past)
        self.model.purge(self.store.now)

    # After each

    @invariant()
    def all_as_in_the_model(self) -> None:
        self.model.purge(self.store.now)
        known = sorted(self.model.known)
        states = self.run(self.broker.states(self.store.queues[0], known))
        for task_id, state in zip(known, states, strict=True):
            self.model.check_state(task_id, state)
        stats = self.run(self.broker.stats(self.store.queues))
        places = [replace(one, rate=0.0, rate_10s=0.0, oldest=None, overdue=0) for one in stats]
        assert places == [self.model.stats(queue) for queue in self.store.queues]
        final = sum(task.status.is_final for task in self.model.tasks.values())
        alive = sum(one.pending + one.delayed + one.working for one in stats)
        assert self.model.sent == alive + final + self.model.removed
        self.store.check(self.model)

    @invariant()
    def each_task_is_in_one_place(self) -> None:
        found = Counter(self.store.places())
        expected = [*self.model.tasks.values(), *self.model.ghosts.values()]
        assert found == Counter((task.id, task.status) for task in expected)

    @rule()
    def carry_on(self) -> None:
        seen = self.run(self.broker.endings(self.store.queues[0]))
        assert {one.key for one in seen} == self.model.endings
        assert {(one.follow, one.result) for one in seen} <= {(b"\x00\n\xff", b'"done"')}
        self.run(self.broker.carried(self.store.queues[0], sorted(self.model.endings)))
        self.model.endings.clear()

    @invariant()
    def letters_as_in_the_model(self) -> None:
        for queue in self.store.queues:
            expected = self.model.graveyard.of(queue)
            seen = self.run(self.broker.dead_letters(queue))
            assert {letter.id for letter in seen} == {letter.id for letter in expected}
            for letter in seen:
                self.model.graveyard.letters[letter.id].check(letter)
            self.store.check_order(seen, expected)

    @invariant()
    def counts_never_fall(self) -> None:
        for task in self.model.tasks.values():  # which are the broker's, as was compared
            life, counts = (task.id, task.born), (task.dequeues, task.requeues, task.token)
            assert all(map(ge, counts, self.highest.get(life, counts))), task.id
            self.highest[life] = counts


def final(lease: Lease, status: str, result_ttl: float) -> Finish:
    """An outcome that ends a task: completed, the same with something that follows ("n" for the
    next), failed (with a letter) or rejected (without)."""
    if status in "cn":
        follow = b"\x00\n\xff" if status == "n" else b""
        return Finish(lease, Status.COMPLETED, b'"done"', result_ttl=result_ttl, follow=follow)
    failure = Failure("ValueError", "ValueError: no", "Traceback")
    kind = Status.FAILED if status == "f" else Status.REJECTED
    return Finish(lease, kind, failure=failure, dead=status == "f", result_ttl=result_ttl)
