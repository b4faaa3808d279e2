"""What is kept of workflows: how their tasks ended, and what has arrived at tasks that wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import structs

from examples.tiny_broker.task import Key, Task
from ltq.broker import namespace_of
from ltq.broker.flows import (
    FAILED,
    HELD,
    NOTE,
    Arrival,
    ArrivalCount,
    Arrived,
    Ending,
    WaitingTask,
    ending_key,
    is_held,
    is_in_flow,
)
from ltq.message import Finish
from ltq.state import Status


@dataclass
class KeptFlows:
    """What is kept of the workflows of all namespaces."""

    endings: dict[Key, Ending] = field(default_factory=dict)
    """By namespace and key."""
    slots: dict[Key, dict[int, bytes]] = field(default_factory=dict)
    sizes: dict[Key, int] = field(default_factory=dict)

    def note(self, task: Task, status: Status, now: float, outcome: Finish | None = None) -> None:
        """Keep how a task ends now, if it is part of a workflow or something follows it."""
        envelope = task.envelope
        follow = b"" if outcome is None else outcome.follow
        if not follow and not is_in_flow(envelope.ctx):
            return
        if status is not Status.CANCELLED:
            self.forget(task.key)
        ending = Ending(
            key=ending_key(envelope.id, task.token),
            id=envelope.id,
            queue=envelope.queue,
            status=status,
            ctx=envelope.ctx,
            result=task.result or b"",
            serializer=envelope.serializer if outcome is None else outcome.serializer,
            body=envelope.body if waits(task) else b"",
            follow=follow,
            time=now,
        )
        self.endings[task.key[0], ending.key] = ending

    def oldest(self, queue: str, limit: int, before: float) -> list[Ending]:
        """Up to so many endings of a namespace that are older."""
        own = [one for key, one in self.endings.items() if key[0] == namespace_of(queue)]
        return sorted((one for one in own if one.time <= before), key=lambda one: one.time)[:limit]

    def is_left(self, queues: Sequence[str]) -> bool:
        """Whether there are endings in the namespaces of these queues."""
        namespaces = set(map(namespace_of, queues))
        return any(namespace in namespaces for namespace, _ in self.endings)

    def carried(self, queue: str, keys: Sequence[str]) -> None:
        """Forget endings."""
        for key in keys:
            self.endings.pop((namespace_of(queue), key), None)

    def forget(self, key: Key) -> None:
        """Forget the slots of a task."""
        self.slots.pop(key, None)
        self.sizes.pop(key, None)

    def read(self, task: Task | None, slots: Sequence[int]) -> WaitingTask | None:
        """A task that waits, or was cancelled, with some of its slots."""
        if task is None or not may_wait(task):
            return None
        envelope, values = task.envelope, self.slots.get(task.key, {})
        return WaitingTask(
            task.status,
            envelope.body,
            envelope.ctx,
            task.token,
            envelope.serializer,
            {slot: values[slot] for slot in slots if slot in values},
            self.count(task.key),
        )

    def count(self, key: Key) -> ArrivalCount | None:
        """How many slots a task has, and what is in them."""
        if key not in self.sizes:
            return None
        values = [value for slot, value in self.slots[key].items() if slot > NOTE]
        failed = values.count(FAILED)
        return ArrivalCount(self.sizes[key], len(values) - failed, failed)

    def put(self, key: Key, arrival: Arrival) -> bool:
        """Put a value in its slot. Returns whether it has come after all."""
        slots = self.slots.setdefault(key, {})
        before = slots.get(arrival.slot)
        comes_after_all = before == FAILED and not arrival.failed
        if before is None or comes_after_all:
            slots[arrival.slot] = FAILED if arrival.failed else b"=" + arrival.value
            if arrival.slot > NOTE:
                self.sizes[key] = arrival.of
        return comes_after_all

    def answer(self, task: Task, arrival: Arrival) -> Arrived:
        """What a task that waits is answered."""
        count = self.count(task.key)
        is_full = arrival.slot > NOTE and count is not None and count.values == count.of
        answer = Arrived.FULL if is_full else Arrived.WAITING
        if answer is Arrived.WAITING and arrival.ending:
            self.carried(task.envelope.queue, [arrival.ending])
        return answer


def waits(task: Task) -> bool:
    """Whether it waits for others."""
    return task.status is Status.DELAYED and is_held(task.due)


def may_wait(task: Task) -> bool:
    """Whether something may arrive at it."""
    return waits(task) or (task.status is Status.CANCELLED and is_in_flow(task.envelope.ctx))


def again(task: Task, now: float, *, held: bool) -> float:
    """Make a cancelled task as if it were sent now. Returns when it is due."""
    serializer = task.body_serializer or task.envelope.serializer
    task.envelope = structs.replace(task.envelope, eta=None, serializer=serializer)
    task.token += 1
    task.enqueue_time, task.release_time, task.result = now, None, None
    return HELD if held else now
