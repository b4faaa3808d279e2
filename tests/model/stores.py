"""The brokers that are compared with the model, and a look inside each."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ltq.broker import Broker, Claim, Consumer, Parcel
from ltq.brokers.memory import MemoryBroker
from ltq.message import DeadLetter
from ltq.options import Priority
from ltq.state import Status
from tests.model.reference import Claiming, Model
from tests.model.tasks import Letter, Task

LEASE = 3600.0
"""Longer than a test: on Redis a lease ends only where the test says so."""

Place = tuple[str, str]
"""A task's id, and the kind of place it was found in."""

_names = itertools.count()


class Store(ABC):
    """A broker under test, in a namespace of its own."""

    broker: Broker

    def __init__(self) -> None:
        self.namespace = f"model{next(_names)}"
        self.queues = (f"{self.namespace}:first", f"{self.namespace}:second")
        self.loop = asyncio.new_event_loop()

    async def open(self) -> None:
        """Make consumers: they belong to the running loop."""
        self.consumers: dict[tuple[str, int], Consumer] = {
            (name, lanes): self.broker.consumer(self.queues[:lanes], name=name, lease=LEASE)
            for name in "ab"
            for lanes in (1, 2)
        }

    async def aclose(self) -> None:
        for consumer in self.consumers.values():
            await consumer.aclose()
        await self.broker.aclose()

    def claimed(self, model: Model, claim: Claiming) -> None:
        """Tell the model of a claim: one takes back what dead workers left, and gives."""
        model.sweep(self.now, patient=True)
        model.claim(claim, self.now, self.now + LEASE)

    def claiming(self, name: str, lanes: int, limit: int, running: int, got: Claim) -> Claiming:
        return Claiming(self.queues[:lanes], name, limit, running, got)

    @abstractmethod
    def tick(self) -> None:
        """Time goes on a little."""

    @property
    @abstractmethod
    def now(self) -> float:
        """The model's time."""

    @abstractmethod
    def model(self) -> Model: ...

    @abstractmethod
    def overtake(self, task: Task, past: int) -> None:
        """Let the time of a delayed or leased task come, or the end of a final state."""

    def token_of(self, parcel: Parcel) -> int:
        """The token of a task that came from another store."""
        return 0

    def due(self, when: float) -> float:
        """When a task is due in the model, that is due at a moment by the broker's clock."""
        return when

    @abstractmethod
    def age(self, queue: str, seconds: float) -> None:
        """Make the letters of a queue older."""

    @abstractmethod
    def dump(self) -> object:
        """All there is."""

    @abstractmethod
    def places(self) -> Iterable[Place]:
        """Where each task is."""

    @abstractmethod
    def check(self, model: Model) -> None:
        """Compare all places with the model."""

    @abstractmethod
    def check_order(self, seen: list[DeadLetter], expected: list[Letter]) -> None:
        """The newest letters come first; of some burials the order is not told."""


class ClockedStore(Store):
    """A store with a clock that stands still unless told."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 1_000_000.0

    def _clock(self) -> float:
        return self._time

    def tick(self) -> None:
        self._time += 2.0**-10  # exact, as all times here

    @property
    def now(self) -> float:
        return self._time

    def model(self) -> Model:
        return Model(tie=lambda task: task.number)

    def overtake(self, task: Task, past: int) -> None:
        self._time = max(self._time, min(task.when, task.expires))

    def check_order(self, seen: list[DeadLetter], expected: list[Letter]) -> None:
        assert [letter.id for letter in seen] == [letter.id for letter in expected]


class MemoryStore(ClockedStore):
    """A memory broker."""

    def __init__(self) -> None:
        super().__init__()
        self.broker: MemoryBroker = MemoryBroker(f"memory://{self.namespace}", clock=self._clock)

    def age(self, queue: str, seconds: float) -> None:
        letters = self._places.dead._of(queue)
        for task_id, letter in letters.items():
            letters[task_id] = replace(letter, time=letter.time - seconds)

    @property
    def _places(self) -> Any:
        self.broker._store.states(self.namespace, [])  # let it forget what has expired
        return self.broker._store._places(self.namespace)

    def dump(self) -> object:
        places = self._places
        lanes = places.lanes._lanes.items()
        lines = {name: [_ids(line) for line in lane.lines] for name, lane in lanes}
        records = places.records
        tables = [
            dict(table._entries) for table in (records.delayed, records.leased, records.final)
        ]
        states = [
            (record.state(), record.token, record.tries, record.returned)
            for record in records._records.values()
        ]
        letters = {queue: list(dead.items()) for queue, dead in places.dead._dead.items() if dead}
        return (
            lines,
            tables,
            states,
            dict(records.counts),
            letters,
            dict(places.ended_tokens._tokens),
            set(places.queues.paused()),
        )

    def places(self) -> Iterable[Place]:
        places = self._places
        for lane in places.lanes._lanes.values():
            yield from ((task_id, Status.PENDING) for line in lane.lines for task_id in _ids(line))
        yield from ((record.id, Status.DELAYED) for record in places.records.delayed)
        yield from ((record.id, Status.WORKING) for record in places.records.leased)
        yield from ((record.id, record.status) for record in places.records.final)

    def check(self, model: Model) -> None:
        places = self._places
        for queue in self.queues:
            lane = places.lanes.own(queue)
            for level in Priority:
                line = _ids(lane.lines[level])
                assert line == model.lines[queue, level]
                assert len(line) == lane.ready[level]
            assert lane.working == len(model.of(Status.WORKING, queue))
            delayed = _ids(places.records.delayed_of[queue])
            assert sorted(delayed) == sorted(one.id for one in model.of(Status.DELAYED, queue))
        for record in places.records._records.values():
            task = model.tasks[record.id]
            counts = (record.token, record.returned, record.tries, record.deaths)
            assert counts == (task.token, task.returned, task.tries, task.deaths), record.id
        assert len(places.records) == len(model.tasks)


def _ids(line: Any) -> list[str]:
    """The ids of a line of the memory broker, in their order."""
    return [record.id for record in line.first(len(line))]
