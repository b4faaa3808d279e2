"""All nodes of a workflow as they are now, and as they change."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import Self, cast

from ltq._flow.known import known_states
from ltq._flow.outline import Outline, OutlineNode, find_outline
from ltq.broker import Broker
from ltq.broker.feed import Feed
from ltq.errors import ResultTimeoutError, TaskNotFoundError
from ltq.state import Status, TaskState
from ltq.workflow.state import WorkflowNode, WorkflowState

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two looks at how far maps are: while something changes, and at most."""

_SLOWDOWN = 1.5
"""Factor by which they grow after a look that brings no change."""


class WorkflowTree:
    """The nodes of one workflow in a broker."""

    def __init__(self, broker: Broker, outline: object) -> None:
        """For LTQ's own use: `find_tree` finds one."""
        self._broker = broker
        self._outline = cast(Outline, outline)

    @property
    def id(self) -> str:
        """That of its last node."""
        return self._outline.id

    @property
    def last_queue(self) -> str:
        """The queue of its last node."""
        return self._outline.nodes[-1].queue

    @property
    def size(self) -> int:
        """How many nodes it has."""
        return len(self._outline.nodes)

    def node_of(self, task_id: str) -> str:
        """The id of the node that a task of it is, or is an element of."""
        return self._outline.node_of(task_id) or self.id

    def first(self, most: int, also: str = "") -> "WorkflowTree":
        """The tree of the first nodes alone, the last one, and the one with an id."""
        return WorkflowTree(self._broker, self._outline.first(most, also))

    async def read(self) -> WorkflowState:
        """The present state. Raises `TaskNotFoundError`, `BrokerError`."""
        states = await _read_states(self._broker, self._outline.nodes)
        view = _View(self._broker, self._outline)
        for number, state in enumerate(states):
            view.put(number, state)
        await view.count_maps()
        return view.state()

    async def watch(self, timeout: float | None = None) -> AsyncGenerator[WorkflowState, None]:
        """Each state, from the present one until all nodes have ended.

        Raises `ResultTimeoutError` after `timeout` seconds, `TaskNotFoundError`, `BrokerError`.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        view = _View(self._broker, self._outline)
        looks = _Looks(view, loop.time)
        with _NodeFeeds(self._broker, self._outline.nodes) as feeds:
            while True:
                looks.put(feeds.take())
                if feeds.all_told:
                    await looks.at_maps()
                    if view.has_changed:
                        yield view.state()
                    if view.has_ended:
                        return
                if deadline is not None and loop.time() >= deadline:
                    raise ResultTimeoutError(self._outline.id, timeout or 0.0)
                await feeds.wait_until(_earlier(deadline, looks.next if feeds.all_told else None))


async def find_tree(broker: Broker, queue: str, task_id: str) -> WorkflowTree | None:
    """The workflow that a task is part of, by its queue and its id; None if it is in none.

    It is known for as long as the state of its last node is kept. Raises `BrokerError`.
    """
    outline = await find_outline(broker, queue, task_id)
    return None if outline is None else WorkflowTree(broker, outline)


class _NodeFeeds:
    """What a broker tells of nodes, until the end of the context."""

    def __init__(self, broker: Broker, nodes: Sequence[OutlineNode]) -> None:
        self._feeds: list[Feed] = []
        self._news: dict[int, None] = {}
        self._untold = set(range(len(nodes)))
        self._wake = asyncio.Event()
        for number, node in enumerate(nodes):
            feed = broker.feed(node.queue, node.id)
            self._feeds.append(feed)
            feed.on_news = partial(self._note, number)
            if feed.has_news:  # it was refused at once
                self._note(number)

    @property
    def all_told(self) -> bool:
        """Whether there was a state of each."""
        return not self._untold

    def take(self) -> list[tuple[int, TaskState[bytes] | None]]:
        """The newest states of the nodes that have changed, with their numbers.

        None instead of a state means that the task does not exist (any more). Raises `BrokerError`.
        """
        news, self._news = self._news, {}
        self._wake.clear()
        self._untold.difference_update(news)
        return [(number, self._feeds[number].newest()) for number in news]

    async def wait_until(self, deadline: float | None) -> None:
        """Wait until a node has changed, or for the deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._wake.wait()

    def close(self) -> None:
        """Stop following. Safe to call twice."""
        for feed in self._feeds:
            feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _note(self, number: int) -> None:
        self._news[number] = None
        self._wake.set()


class _View:
    """The nodes as they were told last."""

    def __init__(self, broker: Broker, outline: Outline) -> None:
        self._broker = broker
        self._outline = outline
        self._nodes = [_node(node, None) for node in outline.nodes]
        self._uncounted: set[int] = set()
        """Maps to look at once."""
        self.open_maps: set[int] = set()
        """Maps that wait: how far they are may change."""
        self.has_changed = True
        """Whether a node has changed since the last call of `state`."""

    @property
    def has_ended(self) -> bool:
        """Whether all nodes have."""
        return all(node.status is None or node.status.is_final for node in self._nodes)

    def put(self, number: int, state: TaskState[bytes] | None) -> None:
        """A node has this state now."""
        planned, known = self._outline.nodes[number], self._nodes[number]
        node = _node(planned, state)
        if planned.is_map and node.status is not None:
            if node.status is not Status.COMPLETED:
                self._uncounted.add(number)
                node = replace(node, done=known.done, total=known.total)
            is_open = node.status is Status.DELAYED
            (self.open_maps.add if is_open else self.open_maps.discard)(number)
        self._set(number, node)

    async def count_maps(self) -> bool:
        """Read how far the maps are. Returns whether one has come further. Raises `BrokerError`."""
        numbers, self._uncounted = sorted(self._uncounted | self.open_maps), set()
        before = [self._nodes[number] for number in numbers]
        for number in numbers:
            planned = self._outline.nodes[number]
            task = await self._broker.held(planned.queue, planned.id, ())
            if task is not None and task.count is not None:
                done, total = max(0, task.count.values - 1), task.count.of - 1
                self._set(number, replace(self._nodes[number], done=done, total=total))
        return before != [self._nodes[number] for number in numbers]

    def state(self) -> WorkflowState:
        """What is known now. Raises `TaskNotFoundError` if the last node does not exist."""
        self.has_changed = False
        nodes = tuple(self._nodes)
        last = nodes[-1].status
        if last is None:
            raise TaskNotFoundError(self._outline.id)
        return WorkflowState(id=self._outline.id, status=_status_of(last, nodes), nodes=nodes)

    def _set(self, number: int, node: WorkflowNode) -> None:
        if node != self._nodes[number]:
            self.has_changed = True
            self._nodes[number] = node


class _Looks:
    """When to look how far maps are: their elements are not followed."""

    def __init__(self, view: _View, clock: Callable[[], float]) -> None:
        self._view = view
        self._clock = clock
        self._at = self._last = -inf
        self._pause = _FIRST_PAUSE

    @property
    def next(self) -> float | None:
        """When the next look is due; None if no map waits."""
        return self._at if self._view.open_maps else None

    def put(self, told: Sequence[tuple[int, TaskState[bytes] | None]]) -> None:
        """Nodes have these states now."""
        for number, state in told:
            self._view.put(number, state)
        if told:
            self._pause = _FIRST_PAUSE
            self._at = min(self._at, self._last + self._pause)

    async def at_maps(self) -> None:
        """Look, if it is time to, or for the last time. Raises `BrokerError`."""
        if self._clock() < self._at and not self._view.has_ended:
            return
        has_more = await self._view.count_maps()
        self._pause = _FIRST_PAUSE if has_more else min(self._pause * _SLOWDOWN, _LONGEST_PAUSE)
        self._last = self._clock()
        self._at = self._last + self._pause


async def _read_states(
    broker: Broker, nodes: Sequence[OutlineNode]
) -> list[TaskState[bytes] | None]:
    """The states of nodes, in their order; None for one that does not exist (any more)."""
    found = await known_states(broker, ((node.queue, node.id) for node in nodes))
    return [found.get(node.id) for node in nodes]


def _node(planned: OutlineNode, state: TaskState[bytes] | None) -> WorkflowNode:
    return WorkflowNode(
        id=planned.id,
        task_name=planned.task_name,
        queue=planned.queue,
        status=None if state is None else state.status,
        parents=planned.parents,
        error=state.error if state is not None and state.status.is_dead else None,
    )


def _status_of(last: Status, nodes: Iterable[WorkflowNode]) -> Status:
    statuses = [node.status for node in nodes]
    if last.is_final:
        dead = (status for status in statuses if status is not None and status.is_dead)
        return next(dead, last) if last is Status.CANCELLED else last
    has_begun = any(status not in (Status.PENDING, Status.DELAYED) for status in statuses)
    return Status.WORKING if has_begun else Status.PENDING


def _earlier(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
