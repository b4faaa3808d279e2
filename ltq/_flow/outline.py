"""What can be seen of a workflow without its description: its nodes, and how they hang together.

The last node has it in its `ctx`, which a store keeps as long as the state of that node. The others
are found by their own `ctx`, or once they have ended by their ids.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ltq._flow.values import flow_of
from ltq.broker.flows import OUTLINE_KEY
from ltq.state import TaskState

_ELEMENT, _NODE = re.compile(r"\.\d+$"), re.compile(r"\.n\d+$")
"""What is behind the id of a map in those of its elements, and behind that of a workflow."""


@dataclass(frozen=True, slots=True)
class OutlineNode:
    """A node of a workflow."""

    id: str
    queue: str
    task_name: str
    parents: tuple[str, ...] = ()
    is_map: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """The nodes of a workflow, each behind those that it needs."""

    id: str
    nodes: tuple[OutlineNode, ...]

    def node_of(self, task_id: str) -> str | None:
        """The id of the node that a task is, or is an element of; None if it is neither."""
        map_id = _ELEMENT.sub("", task_id)
        found = (n.id for n in self.nodes if n.id == task_id or (n.is_map and n.id == map_id))
        return next(found, None)

    def first(self, most: int, also: str = "") -> "Outline":
        """The first nodes alone, the last one, and the one with an id."""
        if len(self.nodes) <= most:
            return self
        *others, last = self.nodes
        shown = [*others[: most - 1], last]
        own = next((node for node in others[most - 1 :] if node.id == also), None)
        if own is not None:
            shown[-2] = own
        return Outline(self.id, tuple(shown))


class _Nodes(msgspec.Struct, frozen=True):
    """An outline as it is kept: names once, and numbers for them."""

    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    nodes: tuple[tuple[int, int, bool, tuple[int, ...]], ...]
    """Of each node the number of its queue and task, whether it is a map, and what it needs."""


class _Ctx(msgspec.Struct):
    nodes: _Nodes = msgspec.field(name=OUTLINE_KEY)


_decode = msgspec.json.Decoder(_Ctx).decode


def pack_outline(outline: Outline) -> bytes:
    """An outline as JSON, to be put into a `ctx`."""
    queues = {node.queue: 0 for node in outline.nodes}
    tasks = {node.task_name: 0 for node in outline.nodes}
    for names in (queues, tasks):
        names.update({name: number for number, name in enumerate(names)})
    numbers = {node.id: number for number, node in enumerate(outline.nodes)}
    nodes = tuple(
        (
            queues[node.queue],
            tasks[node.task_name],
            node.is_map,
            tuple(numbers[parent] for parent in node.parents),
        )
        for node in outline.nodes
    )
    return msgspec.json.encode(_Nodes(tuple(queues), tuple(tasks), nodes))


def outline_in(ctx: bytes) -> Outline | None:
    """The outline in the `ctx` of a last node; None if there is none, or it cannot be read."""
    flow = flow_of(ctx)
    if flow is None:
        return None
    try:
        return _outline(flow.end, _decode(ctx).nodes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError):
        return None


class Inspected(Protocol):
    """What finding an outline needs of a broker."""

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        """The encoded `ctx` of a task."""
        ...

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        """The state of a task in any namespace."""
        ...


async def find_outline(broker: Inspected, queue: str, task_id: str) -> Outline | None:
    """The outline of the workflow that a task is part of; None if it is part of none.

    It is not known any more, either, once the state of the last node has expired. Raises
    `BrokerError`.
    """
    ctx = await broker.ctx(queue, task_id) or b""
    flow = flow_of(ctx)
    if flow is None:  # it is in none, or has ended
        return await _by_ids(broker, queue, task_id)
    if flow.end != task_id:
        ctx = await broker.ctx(flow.queue, flow.end) or b""
    return _with(ctx, task_id)


async def _by_ids(broker: Inspected, queue: str, task_id: str) -> Outline | None:
    for last_id in _last_ids(task_id):
        found = _with(await broker.ctx(queue, last_id) or b"", task_id)
        if found is None and (state := await broker.find(last_id)) is not None:
            found = _with(await broker.ctx(state.queue, last_id) or b"", task_id)
        if found is not None:
            return found
    return None


def _last_ids(task_id: str) -> Iterator[str]:
    """The ids that the last node may have, to judge by the id of a task."""
    map_id = _ELEMENT.sub("", task_id)
    last_id = _NODE.sub("", map_id)
    if last_id != map_id:
        yield last_id
    if map_id != task_id:
        yield map_id


def _with(ctx: bytes, task_id: str) -> Outline | None:
    """The outline in a `ctx`, if the task is in it."""
    outline = outline_in(ctx)
    return outline if outline is not None and outline.node_of(task_id) else None


def _outline(last_id: str, kept: _Nodes) -> Outline:
    ids = [f"{last_id}.n{number}" for number in range(len(kept.nodes))]
    ids[-1] = last_id
    return Outline(
        last_id,
        tuple(
            OutlineNode(
                own_id,
                kept.queues[queue],
                kept.tasks[task],
                tuple(ids[number] for number in parents),
                is_map=is_map,
            )
            for own_id, (queue, task, is_map, parents) in zip(ids, kept.nodes, strict=True)
        ),
    )
