"""Random walks on which workers and tasks die often, and what comes after."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import multiple, precondition, rule

from ltq.errors import TaskNotFoundError
from ltq.message import Lease, Requeue
from ltq.options import Priority
from ltq.state import Status
from tests.model.machine import (
    HOUR,
    Machine,
    final,
    lanes,
    limits,
    names,
    pasts,
    queues,
    runnings,
    ttls,
)

some_tasks = st.lists(Machine.tasks, max_size=3)


class Mortal(Machine):
    """Adds dead letters, and workers that die with what they hold."""

    # Death

    def working(self) -> list[Lease]:
        """The leases that hold now."""
        tasks = [task for task in self.model.of(Status.WORKING) if task.broken is None]
        return [Lease(task.id, task.queue, task.token) for task in tasks]

    @rule(
        target=Machine.leases,
        name=names,
        result=st.lists(st.sampled_from("cffr-+0"), min_size=1, max_size=4),
        result_ttl=ttls,
    )
    def work(self, name: str, result: list[str], result_ttl: float) -> Any:
        """A worker takes some tasks, ends or returns each, and keeps the last."""
        leases = self.taken(name, 2, len(result) + 1, 0)
        for lease, how in zip(leases, result, strict=False):
            back = Requeue(lease, failed=how == "-", front=how == "+", is_void=how == "0")
            self.finished([back if how in "-+0" else final(lease, how, result_ttl)])
        return multiple(*leases)

    @rule(
        target=Machine.leases,
        queue=queues,
        count=st.integers(1, 3),
        most=st.sampled_from([1, 2, 2, 3, 3, None]),
        priority=st.sampled_from(Priority),
        ttl=ttls,
    )
    def suspects(
        self, queue: int, count: int, most: int | None, priority: Priority, ttl: float
    ) -> Any:
        """New tasks; whoever takes them (and others) dies at once."""
        options = {"max_deliveries": most, "result_ttl": ttl}
        self.publish(count, queue, 0.0, priority, options)
        leases = self.taken("a", 2, 10, 0)
        for lease in leases:
            self.pass_over(lease.id, 1)
        self.sweep()
        return multiple(*leases)

    @precondition(lambda self: self.working())
    @rule(
        target=Machine.leases,
        past=pasts,
        keep=st.integers(0, 2),
        name=names,
        served=lanes,
        limit=limits,
        running=runnings,
    )
    def crash(self, past: int, keep: int, name: str, served: int, limit: int, running: int) -> Any:
        """Workers die with all they hold (but for some), and another one goes on."""
        for lease in self.working()[keep:]:
            self.pass_over(lease.id, past)
        return multiple(*self.taken(name, served, limit, running))

    def taken(self, name: str, served: int, limit: int, running: int) -> list[Lease]:
        return [delivery.lease for delivery in self.claimed(name, served, limit, running)]

    # Dead letters

    @rule(task_id=Machine.tasks, queue=queues, limit=st.integers(0, 4), offset=st.integers(0, 3))
    def read_letters(self, task_id: str, queue: int, limit: int, offset: int) -> None:
        self.begin()
        name = self.store.queues[queue]
        everything = self.run(self.broker.dead_letters(name))
        assert (
            self.run(self.broker.dead_letters(name, limit=limit, offset=offset))
            == (everything[offset:][:limit])
        )
        for of_queue in (name, None):
            letter = self.model.graveyard.find(of_queue, task_id)
            if letter is not None:
                letter.check(self.run(self.broker.dead_letter(of_queue, task_id)))
            else:
                with pytest.raises(TaskNotFoundError):
                    self.run(self.broker.dead_letter(of_queue, task_id))

    @rule(task_ids=some_tasks, count=st.integers(0, 3), queue=queues)
    def replay(self, task_ids: list[str], count: int, queue: int) -> None:
        """Also ids without a letter, of another queue, and twice the same."""
        now = self.begin()
        name, ids = self.store.queues[queue], self.mixed(task_ids, count, queue)
        expected = self.model.replay(name, ids, f"call {self.model.steps}", now)
        assert self.run(self.broker.replay(name, ids)) == expected

    def mixed(self, task_ids: list[str], count: int, queue: int) -> list[str]:
        """The first letters of a queue, some ids besides, and perhaps the first of all again."""
        letters = self.model.graveyard.of(self.store.queues[queue])[:count]
        ids = [letter.id for letter in letters] + task_ids
        return self.whole(ids + ids[:1])

    @rule(
        task_ids=st.none() | some_tasks,
        queue=queues,
        older_than=st.sampled_from([0.0, HOUR / 2, HOUR, 1e6]),
    )
    def purge(self, task_ids: list[str] | None, queue: int, older_than: float) -> None:
        now = self.begin()
        name = self.store.queues[queue]
        expected = self.model.graveyard.purge(name, task_ids, older_than, now)
        purged = self.run(self.broker.purge(name, task_ids, older_than=older_than))
        assert purged == expected

    @precondition(lambda self: self.model.graveyard.letters)
    @rule(queue=queues)
    def age(self, queue: int) -> None:
        """An hour goes by for the letters of a queue."""
        self.begin()
        self.store.age(self.store.queues[queue], HOUR)
        self.model.graveyard.age(self.store.queues[queue], HOUR)
