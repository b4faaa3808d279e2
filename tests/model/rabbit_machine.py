"""Random walks through RabbitMQ into a store, with sends while the store is away."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from ltq.message import Published
from ltq.options import Priority
from tests.model.machine import Machine, queues, sendings
from tests.model.moving import Moving
from tests.model.rabbit_store import RabbitStore


class RabbitMachine(Moving):
    """Adds sends that RabbitMQ alone takes: their conditions are settled when they arrive."""

    def __init__(self, make: Callable[[], RabbitStore]) -> None:
        super().__init__(make)
        assert isinstance(self.store, RabbitStore)
        self.rabbit = self.store

    @rule(
        target=Machine.tasks,
        queue=queues,
        priority=st.sampled_from(Priority),
        options=st.lists(sendings, min_size=1, max_size=3),
    )
    def publish_past(self, queue: int, priority: Priority, options: list[dict[str, Any]]) -> Any:
        """Each is taken, whatever the store would say, and becomes what the store says."""
        new = []
        for _ in options:
            self.count += 1
            new.append(f"past-{self.count * 7919 % 1000:03d}-{self.count}")
        self.sent_past(new, queue, priority, options)
        return multiple(*new)

    @rule(task_id=Machine.tasks, other=Machine.tasks, queue=queues)
    def publish_past_again(self, task_id: str, other: str, queue: int) -> None:
        """Ids that are there, were there, or come twice in one call."""
        ids = [task_id, other, task_id]
        self.sent_past(ids, queue, Priority.NORMAL, [{}, {}, {}])

    def sent_past(
        self, ids: list[str], queue: int, priority: Priority, options: list[dict[str, Any]]
    ) -> None:
        envelopes = [
            self.envelope(task_id, queue, 0.0, priority, one)
            for task_id, one in zip(ids, options, strict=True)
        ]
        now = self.begin()
        for envelope in envelopes:
            self.model.publish(envelope, now)
        answers = self.run(self.rabbit.broker.publish_past(self.rabbit.behind, envelopes))
        assert answers == [Published.CREATED] * len(ids)
