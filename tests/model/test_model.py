"""Random walks through every operation of a broker, compared with a model after each step.

`LTQ_MODEL_EXAMPLES` is how many walks each broker takes (default 60, nightly thousands).
"""

import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ltq.errors import TaskNotFoundError
from ltq.message import Delivery, Envelope, Failure, Finish, Lease, Outcome, Receipt, Requeue
from ltq.options import Priority
from ltq.state import Progress, Status
from tests.model.reference import Model, Task
from tests.model.stores import LEASE, MemoryStore, RedisStore, Store
from tests.servers import RedisServer

T = TypeVar("T")

EXAMPLES = int(os.environ.get("LTQ_MODEL_EXAMPLES", "60"))
STEPS = 40
FAR = 10_000.0

SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

steps: Counter[str] = Counter()
"""How many operations were compared, by broker."""

delays = st.sampled_from([0.0, 0.0, FAR, 2 * FAR])
ttls = st.sampled_from([3600.0, 3600.0, 0.0])
names = st.sampled_from("ab")
lanes = st.sampled_from([1, 2])
pasts = st.integers(1, 3)
wanted = st.sampled_from([1, 2, 3, 10])


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
        self.model.purge(self.store.now)
        return self.store.now

    def end_of(self, duration: float) -> float:
        return self.store.now + duration

    def task(self, task_id: str) -> Task | None:
        return self.model.tasks.get(task_id)

    # Waiting tasks

    @initialize(target=tasks, count=st.integers(1, 4))
    def first(self, count: int) -> Any:
        return self.send(count, 0, 0.0, Priority.NORMAL, {})

    @rule(
        target=tasks,
        count=st.integers(1, 4),
        queue=st.sampled_from([0, 0, 1]),
        delay=delays,
        priority=st.sampled_from(Priority),
        options=st.fixed_dictionaries(
            {},
            optional={
                "max_pending": st.integers(1, 6),
                "max_deliveries": st.integers(1, 3),
                "result_ttl": ttls,
            },
        ),
    )
    def publish(
        self, count: int, queue: int, delay: float, priority: Priority, options: dict[str, Any]
    ) -> Any:
        return self.send(count, queue, delay, priority, options)

    def send(
        self, count: int, queue: int, delay: float, priority: Priority, options: dict[str, Any]
    ) -> Any:
        new = []
        for _ in range(count):
            self.count += 1
            new.append(f"{self.count * 7919 % 1000:03d}-{self.count}")  # not in order of sending
        envelopes = [self.envelope(i, queue, delay, priority, options) for i in new]
        self.published(envelopes)
        return multiple(*new)

    def envelope(
        self, task_id: str, queue: int, delay: float, priority: Priority, options: dict[str, Any]
    ) -> Envelope:
        name = self.store.queues[queue]
        body = f'"{task_id}"'.encode()
        return Envelope(
            id=task_id,
            queue=name,
            task_name=name,
            body=body,
            delay=delay,
            priority=priority,
            **options,
        )

    def published(self, envelopes: list[Envelope]) -> None:
        now = self.begin()
        expected = [self.model.publish(envelope, now) for envelope in envelopes]
        assert self.run(self.broker.publish(envelopes)) == expected

    @rule(task_id=tasks, other=tasks, delay=delays, priority=st.sampled_from(Priority))
    def publish_again(self, task_id: str, other: str, delay: float, priority: Priority) -> None:
        """Ids that are there, were there, or come twice in one call."""
        self.published(
            [self.envelope(one, 0, delay, priority, {}) for one in (task_id, other, task_id)]
        )

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

    @rule(target=leases, name=names, served=lanes, limit=wanted)
    def claim(self, name: str, served: int, limit: int) -> Any:
        self.begin()
        got = self.run(self.store.consumers[name, served].claim(limit)).deliveries
        self.store.take(self.model, name, served, limit, got)
        return multiple(*[delivery.lease for delivery in got])

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

    @rule(lease=leases, other=leases, status=st.sampled_from("cfr"), result_ttl=ttls)
    def finish(self, lease: Lease, other: Lease, status: str, result_ttl: float) -> None:
        """The first as said; the second, where it is another task's, completed."""
        outcomes: list[Outcome] = [_final(lease, status, result_ttl)]
        if other.id != lease.id:
            outcomes.append(_final(other, "c", 3600.0))
        self.finished(outcomes)

    @rule(
        lease=leases,
        other=leases,
        delay=delays,
        failed=st.booleans(),
        front=st.booleans(),
    )
    def requeue(self, lease: Lease, other: Lease, delay: float, failed: bool, front: bool) -> None:
        failure = Failure("OSError", "OSError: no") if failed else None
        outcomes: list[Outcome] = [
            Requeue(lease, delay=delay, failed=failed, front=front, failure=failure)
        ]
        if other.id != lease.id:
            outcomes.append(Requeue(other, front=front))
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
        repeated = self.run(self.broker.finish(outcomes))
        assert self.store.dump() == before
        assert repeated == [
            self._again(outcome, receipt)
            for outcome, receipt in zip(outcomes, expected, strict=True)
        ]

    def _again(self, outcome: Outcome, receipt: Receipt) -> Receipt:
        """What a repeated outcome is told: a task without a `result_ttl` is gone already."""
        return receipt if outcome.lease.id in self.model.tasks else Receipt.GONE

    @rule()
    def sweep(self) -> None:
        now = self.begin()
        assert self.run(self.broker.sweep(self.store.queues)) == self.model.sweep(now)

    # Time, and accidents

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
        got = self.claim(name, 2, 10)
        self.finished([_final(lease, "c", 0.0)])
        self.progress(lease, 1)
        self.heartbeat(lease, LEASE)
        return got

    def pass_over(self, task_id: str, past: int) -> None:
        self.begin()
        task = self.task(task_id)
        if task is not None and task.status is not Status.PENDING:
            self.store.overtake(task, past)
        self.model.purge(self.store.now)

    @precondition(lambda self: isinstance(self.store, RedisStore))
    @rule(target=leases, name=names, served=lanes, limit=wanted)
    def claim_again(self, name: str, served: int, limit: int) -> Any:
        """The reply of the last claim was lost: its tasks come again, with their leases."""
        assert isinstance(self.store, RedisStore)
        self.begin()
        consumer = self.store.consumers[name, served]
        ids = self.store.repeat(consumer)
        held = [i for i in ids if (task := self.task(i)) and _is_held(task, name)]
        got = self.run(consumer.claim(limit)).deliveries
        repeated, fresh = got[: len(held)], got[len(held) :]
        assert [delivery.lease.id for delivery in repeated] == held
        for delivery in repeated:
            self.model.check_delivery(self.model.tasks[delivery.lease.id], delivery)
        if not ids:
            self.store.take(self.model, name, served, limit, fresh)
        else:
            self.after_repeat(name, served, limit - len(held), fresh)
        return multiple(*[delivery.lease for delivery in fresh])

    def after_repeat(self, name: str, served: int, left: int, fresh: list[Delivery]) -> None:
        """A repeated claim gives more only where there is something to sweep, or may be."""
        overdue = any(task.when < inf for task in self.model.tasks.values())
        self.model.sweep(self.store.now)
        queues = self.store.queues[:served]
        counts = {max(0, min(left, self.model.ready(queues)))}
        assert len(fresh) in (counts if overdue else counts | {0})
        self.model.take(queues, fresh, name, inf)

    @precondition(lambda self: isinstance(self.store, RedisStore))
    @rule()
    def script_flush(self) -> None:
        """As after a restart of the server."""
        assert isinstance(self.store, RedisStore)
        self.store.client.script_flush()

    # After each

    @invariant()
    def all_as_in_the_model(self) -> None:
        self.model.purge(self.store.now)
        known = sorted(self.model.known)
        states = self.run(self.broker.states(self.store.queues[0], known))
        for task_id, state in zip(known, states, strict=True):
            self.model.check_state(task_id, state)
        stats = self.run(self.broker.stats(self.store.queues))
        assert stats == [self.model.stats(queue) for queue in self.store.queues]
        final = sum(state is not None and state.status.is_final for state in states)
        alive = sum(one.pending + one.delayed + one.working for one in stats)
        assert self.model.sent == alive + final + self.model.removed
        self.store.check(self.model)


def _final(lease: Lease, status: str, result_ttl: float) -> Finish:
    if status == "c":
        return Finish(lease, Status.COMPLETED, b'"done"', result_ttl=result_ttl)
    failure = Failure("ValueError", "ValueError: no", "Traceback")
    kind = Status.FAILED if status == "f" else Status.REJECTED
    return Finish(lease, kind, failure=failure, dead=status == "f", result_ttl=result_ttl)


def _is_held(task: Task, name: str) -> bool:
    return task.status is Status.WORKING and task.worker == name


def walk(make: Callable[[], Store]) -> None:
    factory: Any = partial(Machine, make)
    run_state_machine_as_test(factory, settings=SETTINGS)


@pytest.fixture(scope="module")
def server(redis_executable: str) -> Iterator[RedisServer]:
    with RedisServer(redis_executable) as server:
        yield server


@pytest.mark.timeout(60 + EXAMPLES)
def test_the_memory_broker_does_what_the_model_says() -> None:
    walk(MemoryStore)


@pytest.mark.timeout(60 + EXAMPLES)
def test_the_redis_broker_does_what_the_model_says(server: RedisServer) -> None:
    walk(partial(RedisStore, server.url))
