"""What can happen to the Redis broker besides: lost replies, a full server, spoilt records."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, precondition, rule

from ltq.errors import BrokerError
from ltq.message import Envelope, Published
from ltq.options import Priority
from ltq.state import Status
from tests.model.machine import (
    Machine,
    delays,
    final,
    lanes,
    limits,
    names,
    queues,
    runnings,
    sendings,
    ttls,
)
from tests.model.mortal import some_tasks
from tests.model.moving import Moving
from tests.model.redis_store import RedisStore

Call = tuple[str, str, list[str]]


class RedisMachine(Moving):
    """Drives the Redis broker and the model side by side."""

    def __init__(self, make: Callable[[], RedisStore]) -> None:
        super().__init__(make)
        assert isinstance(self.store, RedisStore)
        self.redis = self.store
        self.calls: list[Call] = []

    @property
    def refuses_writes(self) -> bool:
        return self.redis.is_full

    # Lost replies

    @rule(
        target=Machine.leases,
        name=names,
        served=lanes,
        limit=limits,
        running=runnings,
    )
    def claim_again(self, name: str, served: int, limit: int, running: int) -> Any:
        """The reply of the last claim was lost: its tasks come again, with their leases."""
        self.begin()
        consumer = self.redis.consumer(name, served)
        ids = self.redis.repeat_claim(consumer)
        held = [task_id for task_id in ids if self.model.is_held(task_id, name)]
        got = self.run(consumer.claim(limit, running))
        assert [delivery.lease.id for delivery in got.deliveries[: len(held)]] == held
        claim = self.redis.claiming(name, served, limit, running, got)
        claim.repeated = len(held)
        self.model.claim_again(claim, self.redis.now)
        self.redis.check_leases(held)
        self.redis.claimed(self.model, claim)
        return multiple(*[delivery.lease for delivery in got.deliveries])

    @rule(task_id=Machine.tasks, delay=delays, priority=st.sampled_from(Priority))
    def send_again(self, task_id: str, delay: float, priority: Priority) -> None:
        """The reply of a send was lost; meanwhile the task may have ended without a trace."""
        if task_id in self.model.ghosts or self.redis.is_full:
            return
        now = self.begin()
        envelope = self.envelope(task_id, 0, delay, priority, {})
        expected = self.model.publish(envelope, now, again=True)
        assert self.run(self.redis.send_again(envelope)) == expected

    @rule(task_ids=some_tasks, count=st.integers(0, 3), queue=queues)
    def replay_twice(self, task_ids: list[str], count: int, queue: int) -> None:
        """The reply of a replay was lost: the same again is the same answer."""
        name, ids = self.redis.queues[queue], self.mixed(task_ids, count, queue)
        call = f"call {len(self.calls)} again"
        self.calls.append((name, call, ids))
        answers = self.replayed(name, call, ids)
        before = self.redis.dump()
        assert self.replayed(name, call, ids) == answers
        assert self.redis.dump() == before

    @precondition(lambda self: self.calls)
    @rule(number=st.integers(0, 3))
    def replay_late(self, number: int) -> None:
        """A replay that was carried out long ago comes once more."""
        name, call, ids = self.calls[-1 - number % len(self.calls)]
        if self.whole(ids) == ids:
            self.replayed(name, call, ids)

    @precondition(lambda self: self.model.graveyard.letters)
    @rule(queue=queues, ttl=ttls)
    def die_again(self, queue: int, ttl: float) -> None:
        """The reply of a replay was lost, and what was enqueued has died once more meanwhile."""
        self.replay_twice([], 3, queue)
        for lease in self.taken("b", 2, 10, 0):
            self.finished([final(lease, "f", ttl)])
        self.replay_late(0)

    @rule(
        target=Machine.tasks,
        queue=queues,
        options=sendings,
        goes_on=st.booleans(),
        how=st.sampled_from("cfr"),
        ttl=ttls,
    )
    def rerun_twice(
        self, queue: int, options: dict[str, Any], goes_on: bool, how: str, ttl: float
    ) -> Any:
        """The reply of a rerun was lost; meanwhile the new tasks may have ended."""
        if self.redis.is_full:
            return multiple()
        self.end_some(queue, ["f", "c"], options)
        now = self.begin()
        name, ids = self.redis.queues[queue], self.ended([], queue, 3)
        if not ids:
            return multiple()
        new_ids = [f"again-{self.model.steps}-{number}" for number, _ in enumerate(ids)]
        created = ["created"] * len(ids)
        assert self.run(self.redis.rerun(name, ids, new_ids, again=False)) == created
        self.model.rerun(ids, new_ids, now)
        for lease in self.taken("b", 2, 10, 0) if goes_on else ():
            self.finished([final(lease, how, ttl)])
        before = self.redis.dump()
        assert self.run(self.redis.rerun(name, ids, new_ids, again=True)) == created
        assert self.redis.dump() == before
        return multiple(*new_ids)

    def replayed(self, queue: str, call: str, ids: list[str]) -> list[Published]:
        now = self.begin()
        expected = self.model.replay(queue, ids, call, now)
        answers = self.run(self.redis.replay(queue, call, ids))
        assert answers == expected
        return answers

    # Schedules

    @invariant()
    def schedules_end_unless_they_are_put_or_paused(self) -> None:
        for schedule, kept in self.slots.kept.items():
            assert self.redis.ends(schedule) != bool(kept.put or kept.is_paused), schedule

    # Accidents of the server

    @rule()
    def script_flush(self) -> None:
        """As after a restart of the server."""
        self.redis.client.script_flush()

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        """The server's memory is full, or is not any more."""
        self.redis.fill(full)

    def published(self, envelopes: list[Envelope]) -> None:
        """Where the memory is full, a call that would enqueue anything is refused as a whole."""
        if not self.redis.is_full or not self.model.would_create(envelopes):
            super().published(envelopes)
            return
        self.begin()
        before = self.redis.dump()
        with pytest.raises(BrokerError):
            self.run(self.broker.publish(envelopes))
        assert self.redis.dump() == before

    # Spoilt records

    @rule(task_id=Machine.tasks, kind=st.sampled_from(["gone", "string", "status", "task"]))
    def spoil(self, task_id: str, kind: str) -> None:
        """A task's record is lost, or half of it, while its id stays in its place."""
        task = self.model.tasks.get(task_id)
        if task is None or task.status.is_final:
            return
        is_named_so = task.envelope.task_name == task.queue  # else its queue is still known
        if kind == "task" and not (is_named_so and task.status is Status.PENDING):
            kind = "gone"
        self.redis.spoil(task_id, kind)
        self.model.break_record(task, kind)

    @precondition(lambda self: self.model.ghosts)
    @rule(number=st.integers(0, 3), past=st.integers(1, 4))
    def find_spoilt(self, number: int, past: int) -> None:
        """The time of a spoilt one comes, and somebody looks."""
        ghosts = [*self.model.ghosts]
        self.pass_over(ghosts[number % len(ghosts)], past)
        self.sweep()

    # Wake-ups

    @rule(target=Machine.leases, name=names, served=lanes, queue=queues, limit=limits)
    def wake(self, name: str, served: int, queue: int, limit: int) -> Any:
        """A consumer takes a wake-up: what its claim leaves, it must pass on."""
        queue = min(queue, served - 1)
        self.redis.take_wake_up(self.redis.consumer(name, served), self.redis.queues[queue])
        return multiple(*self.taken(name, served, limit, 0))
