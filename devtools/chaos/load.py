"""Producers of tasks of every kind, and a waiter for each that was acknowledged."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from devtools.chaos import jobs
from devtools.chaos.stage import through
from ltq import Handle, Node, ResultTimeoutError, Status, StreamHandle, Task, TaskState
from ltq.broker import Broker
from ltq.errors import BrokerError, LtqError, TaskNotFoundError

_PATIENCE = 15.0
"""Seconds one wait may take; then the waiter waits again."""


@dataclass(frozen=True)
class Sort:
    """One kind of task: what is sent, how often, and how it has to end."""

    name: str
    weight: int
    task: Task[..., Any]
    arguments: Callable[[int, Random], tuple[Any, ...]]
    options: Callable[[Random], dict[str, Any]] = lambda _: {}
    ends: Status = Status.COMPLETED
    tries: int = 1
    cancel: bool = False
    tags: tuple[str, ...] = ()
    is_delayed: bool = False
    flow: Callable[[int, Broker], Node[Any]] | None = None
    """The workflow, of which the task is the last node."""

    @property
    def is_swept(self) -> bool:
        """Whether calls that cancel many may cancel it."""
        return SWEPT in self.tags

    def send_options(self, chance: Random) -> dict[str, Any]:
        """The options of one send."""
        delay = {"delay": chance.uniform(0.05, 3.0)} if self.is_delayed else {}
        return {"tags": self.tags, **delay, **self.options(chance)}


def _flow(number: int, broker: Broker) -> Node[Any]:
    """A map over another namespace with its fan-in, a chain behind that, and the same again."""
    spread, part, gathered, passed = (
        through(task, broker) for task in (jobs.spread, jobs.part, jobs.gathered, jobs.passed)
    )
    once = spread.step(number).map(part).then(gathered)
    return once.then(passed).map(part).then(gathered)


def _number(number: int, _: Random) -> tuple[int]:
    return (number,)


def _within(low: float, high: float) -> Callable[[int, Random], tuple[int, float]]:
    return lambda number, chance: (number, round(chance.uniform(low, high), 3))


SWEPT = "swept"
"""The tag of tasks that may be cancelled, many at once."""

_SWEPT, _SPARED = (SWEPT,), (f"{SWEPT}-not", f"not-{SWEPT}")

SORTS: tuple[Sort, ...] = (
    Sort("instant", 30, jobs.instant, _number),
    Sort("work", 30, jobs.work, _within(0.0, 0.2)),
    Sort("slow", 3, jobs.work, _within(0.5, 1.5)),
    Sort("plod", 8, jobs.plod, _within(0.0, 0.2)),
    Sort("delayed", 10, jobs.instant, _number, is_delayed=True),
    Sort("high", 4, jobs.instant, _number, lambda _: {"priority": "high"}),
    Sort("low", 4, jobs.work, _within(0.0, 0.1), lambda _: {"priority": "low"}),
    Sort("flaky", 6, jobs.flaky, _number, tries=jobs.FLAKY_TRIES),
    Sort("broken", 2, jobs.broken, _number, ends=Status.FAILED),
    Sort("stepped", 4, jobs.stepped, lambda number, chance: (number, chance.randint(1, 6))),
    Sort("flow", 3, jobs.gathered, _number, flow=_flow),
    Sort("streamed", 3, jobs.streamed, _number),
    Sort("left", 4, jobs.left, _number),
    Sort("right", 4, jobs.right, _number),
    Sort("cancelled", 5, jobs.work, _within(0.0, 1.0), cancel=True),
    Sort("postponed", 2, jobs.work, _within(0.0, 0.2), cancel=True, is_delayed=True),
    Sort("swept", 4, jobs.work, _within(0.0, 0.5), tags=_SWEPT),
    Sort("adrift", 3, jobs.work, _within(0.0, 0.5), tags=_SWEPT, is_delayed=True),
    Sort("strange", 2, jobs.left, _number, tags=_SWEPT),
    Sort("spared", 3, jobs.work, _within(0.0, 0.2), tags=_SPARED),
    Sort("spared-later", 2, jobs.work, _within(0.0, 0.2), tags=_SPARED, is_delayed=True),
)
NEIGHBOUR = Sort("neighbour", 0, jobs.frail, _within(0.2, 0.6))
TOXIC = Sort("toxic", 0, jobs.toxic, _number, ends=Status.REJECTED, tries=jobs.MAX_DELIVERIES)


@dataclass(frozen=True)
class Sent:
    """A task whose send was acknowledged."""

    id: str
    number: int
    sort: Sort
    handle: Handle[Any]
    time: float


@dataclass(frozen=True)
class Pause:
    """When a queue was paused for certain: from the answer to `pause` to the call of `resume`."""

    queue: str
    began: float
    ended: float


@dataclass(frozen=True)
class Sweep:
    """A call that cancelled many tasks with the tag `SWEPT`, in the attempt that was answered."""

    queue: str
    status: Status | None
    """The only one of these tasks; None for all that wait."""
    began: float
    ended: float
    count: int
    """How many it said it has cancelled."""


@dataclass
class Notes:
    """What producers and waiters have seen."""

    sent: dict[str, Sent] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Sends that failed: they may have arrived all the same."""
    in_flight: set[str] = field(default_factory=set)
    """Sends without an answer so far. Those of a producer that was stopped stay here: they may
    have arrived as well."""
    answers: dict[str, TaskState[Any]] = field(default_factory=dict)
    """The final states that the waiters were given."""
    errors: dict[str, LtqError] = field(default_factory=dict)
    """What else ended a waiter."""
    cancels: dict[str, bool | None] = field(default_factory=dict)
    """What `cancel` answered; None where the broker did not answer."""
    asked_again: int = 0
    """Waits that were told of the broker, or took long, and were repeated."""
    pauses: list[Pause] = field(default_factory=list)
    promoted: int = 0
    sweeps: list[Sweep] = field(default_factory=list)
    items: dict[str, list[Any]] = field(default_factory=dict)
    """What streams have yielded."""
    backwards: list[str] = field(default_factory=list)
    """Tasks whose progress went back within one run."""


class Load:
    """Sends until told to stop; each waiter then has until `finish` ends."""

    def __init__(
        self,
        seed: int,
        brokers: Sequence[Broker],
        *,
        producers: int = 6,
        sorts: Sequence[Sort] = SORTS,
    ) -> None:
        self.notes = Notes()
        self._sorts = sorts
        self._chance = Random(seed + 1)
        self._brokers = brokers
        self._count = producers
        self._number = 0
        self._producers: list[asyncio.Task[None]] = []
        self._waiters: dict[str, asyncio.Task[None]] = {}
        self._halfway: dict[str, Node[Any]] = {}

    def start(self, pause: float) -> None:
        """Send, each producer with `pause` seconds between two in the mean."""
        self._producers = [
            asyncio.create_task(self._produce(self._brokers[n % len(self._brokers)], pause))
            for n in range(self._count)
        ]

    async def stop(self) -> None:
        """Send no more."""
        for producer in self._producers:
            producer.cancel()
        await asyncio.gather(*self._producers, return_exceptions=True)
        sort = next(one for one in SORTS if one.flow is not None)
        for task_id, node in [*self._halfway.items()]:
            handle = await self._send_flow(task_id, node)
            self._was_sent(task_id, int(task_id.rpartition("-")[2]), sort, handle)

    async def finish(self, timeout: float) -> list[str]:
        """Wait for the waiters; the ids of those that were not answered in time."""
        if self._waiters:
            await asyncio.wait(self._waiters.values(), timeout=timeout)
        left = [task_id for task_id, waiter in self._waiters.items() if not waiter.done()]
        for waiter in self._waiters.values():
            waiter.cancel()
        ended = await asyncio.gather(*self._waiters.values(), return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return left

    async def send(self, sort: Sort, broker: Broker) -> None:
        """Send one, and wait for it in the background."""
        self._number += 1
        number, task_id = self._number, f"{sort.name}-{self._number}"
        options = {"id": task_id, **sort.send_options(self._chance)}
        task = through(sort.task.with_options(**options), broker)
        arguments = sort.arguments(number, self._chance)
        self.notes.in_flight.add(task_id)
        handle: Handle[Any]
        try:
            if sort.flow is not None:
                handle = await self._send_flow(task_id, sort.flow(number, broker))
            else:
                handle = await task.send(*arguments)
        except BrokerError:
            self.notes.in_flight.discard(task_id)
            self.notes.refused.append(task_id)
            return
        self._was_sent(task_id, number, sort, handle)
        if sort.cancel:
            await self._cancel(task_id, handle)

    async def _send_flow(self, task_id: str, node: Node[Any]) -> Handle[Any]:
        """Send a workflow, again and again: one that is cut may be there by half."""
        self._halfway[task_id] = node
        while True:
            try:
                handle = await node.with_options(id=task_id).send()
            except BrokerError:
                await asyncio.sleep(0.2)
            else:
                del self._halfway[task_id]
                return handle

    def _was_sent(self, task_id: str, number: int, sort: Sort, handle: Handle[Any]) -> None:
        self.notes.in_flight.discard(task_id)
        self.notes.sent[task_id] = Sent(task_id, number, sort, handle, time.time())
        self._waiters[task_id] = asyncio.create_task(self._wait(task_id, sort, handle))

    async def _produce(self, broker: Broker, pause: float) -> None:
        weights = [sort.weight for sort in self._sorts]
        while True:
            (sort,) = self._chance.choices(self._sorts, weights)
            await self.send(sort, broker)
            await asyncio.sleep(self._chance.expovariate(1 / pause))

    async def _cancel(self, task_id: str, handle: Handle[Any]) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 0.3))
        self.notes.cancels[task_id] = None
        try:
            self.notes.cancels[task_id] = await handle.cancel()
        except (BrokerError, TaskNotFoundError):  # it may be on its way into the store
            return

    async def _wait(self, task_id: str, sort: Sort, handle: Handle[Any]) -> None:
        while True:
            try:
                if isinstance(handle, StreamHandle):
                    self.notes.items[task_id] = await handle.collect(_PATIENCE)
                watches = sort.name == "stepped"
                state = await (self._watch(handle) if watches else handle.wait(_PATIENCE))
            except (BrokerError, ResultTimeoutError):
                self.notes.asked_again += 1
            except LtqError as error:
                self.notes.errors[task_id] = error
                return
            else:
                self.notes.answers[task_id] = state
                return

    async def _watch(self, handle: Handle[Any]) -> TaskState[Any]:
        """Follow its progress, which grows in each run."""
        last: TaskState[Any] | None = None
        async for state in handle.watch(_PATIENCE):
            if last and last.dequeue_count == state.dequeue_count and _went_back(last, state):
                self.notes.backwards.append(state.id)
            last = state
        assert last is not None, "a watch gives a state"
        return last


def _went_back(before: TaskState[Any], after: TaskState[Any]) -> bool:
    return bool(
        before.progress and after.progress and after.progress.current < before.progress.current
    )
