"""All nodes of a workflow at once: stopped when one has failed, and gone on with after a replay."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from ltq._flow.compose import items_of
from ltq._flow.expand import cancel_elements, send_elements
from ltq._flow.go_on import go_on
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE, read_slots
from ltq._flow.values import LIST, Flow, TreeNode, element_id, flow_of, read_recipe
from ltq.broker.flows import FAILED, NOTE, Arrival, Ending
from ltq.names import by_namespace
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


async def stop(
    broker: FlowBroker, nodes: Sequence[TreeNode], because_of: Sequence[str] = ()
) -> None:
    """Cancel all nodes that have not ended, the last one last.

    `because_of` are the ids of what has failed, which may be replayed meanwhile. Without them, a
    replay does not let the workflow go on.
    """
    if not nodes:
        return
    *others, last = nodes
    if because_of:
        note = " ".join(because_of[:10]).encode()
        await broker.arrive(last.queue, [Arrival(last.id, NOTE, 0, note)])
    for some in by_namespace(others, lambda node: node.queue).values():
        ids = [node.id for node in some]
        for first in range(0, len(ids), MOST_AT_ONCE):
            await _cancel(broker, some[0].queue, *ids[first : first + MOST_AT_ONCE])
    count = len(await _items(broker, last)) if last.is_map else 0
    for node in others:
        if node.is_map:
            items = await _items(broker, node)
            await cancel_elements(broker, node.queue, node.id, len(items), because_of)
    await _cancel(broker, last.queue, last.id)
    await cancel_elements(broker, last.queue, last.id, count, because_of)


async def resume(broker: FlowBroker, flow: Flow, first: Sequence[str]) -> list[Ending]:
    """After a replay: send again what was cancelled because something had failed.

    `first` are the ids of the nodes that need what was replayed. Nothing happens as long as another
    node is dead. Returns the endings of what has ended by that. It may be called again, also if it
    was cut: as long as one of `first`, or the last node, is cancelled.
    """
    last = await broker.held(flow.queue, flow.end, [NOTE])
    if last is None or last.status is not Status.CANCELLED or NOTE not in last.slots:
        return []
    recipe = read_recipe(last.body, last.serializer)
    nodes = () if recipe is None else recipe.tree
    statuses = [each async for each in _statuses(broker, nodes)]
    if any(status is not None and status.is_dead for _, status in statuses):
        return []
    cancelled = [node for node, status in statuses if status is Status.CANCELLED]
    is_whole = all(status is not None for _, status in statuses)
    if not is_whole and not await _all_comes(broker, cancelled):
        return []
    for node in nodes:
        if node.is_map and (items := await _items(broker, node)):
            await send_elements(broker, node.queue, node.id, items, again=True)
    others = [node for node in cancelled if node.id != flow.end]
    for node in sorted(others, key=lambda node: node.id in first):
        await _restart(broker, node)
    endings = [await go_on(broker, node.queue, node.id) for node in nodes[:-1]]
    # As long as the last one is cancelled, whatever arrives there comes here again.
    await _restart(broker, TreeNode(flow.end, flow.queue))
    endings.append(await go_on(broker, flow.queue, flow.end))
    return [ending for ending in endings if ending is not None]


async def _all_comes(broker: FlowBroker, cancelled: Sequence[TreeNode]) -> bool:
    """Whether what failed to come to these comes, if they are sent again: else they would wait for
    ever. Results of what was cleared, or is forgotten, do not."""
    coming: set[tuple[str, int]] = set()
    missing: set[tuple[str, int]] = set()
    for node in cancelled:
        task = await broker.held(node.queue, node.id, ())
        flow = None if task is None else flow_of(task.ctx)
        if task is None or flow is None:
            continue
        coming |= {(destination.id, destination.slot) for destination in flow.to}
        if task.count is not None and task.count.failed:
            slots = range(LIST, 0 if node.is_map else task.count.of)
            async with aclosing(read_slots(broker, node.queue, node.id, slots)) as parts:
                async for some, part in parts:
                    missing |= {(node.id, one) for one in some if part.slots.get(one) == FAILED}
    return missing <= coming


async def _restart(broker: FlowBroker, node: TreeNode) -> None:
    task = await broker.held(node.queue, node.id, ())
    waits = task is not None and read_recipe(task.body, task.serializer) is not None
    await broker.restart(node.queue, [node.id], held=waits)


async def _statuses(
    broker: FlowBroker, nodes: Iterable[TreeNode]
) -> AsyncIterator[tuple[TreeNode, Status | None]]:
    """The nodes and the elements of their maps, with their statuses."""
    for node in nodes:
        ids = [node.id]
        if node.is_map:
            items = await _items(broker, node)
            ids += [element_id(node.id, index) for index in range(len(items))]
        for first in range(0, len(ids), MOST_AT_ONCE):
            part = ids[first : first + MOST_AT_ONCE]
            states = await broker.states(node.queue, part)
            for task_id, state in zip(part, states, strict=True):
                one = node if task_id == node.id else TreeNode(task_id, node.queue)
                yield one, None if state is None else state.status


async def _cancel(broker: FlowBroker, queue: str, *ids: str) -> None:
    await broker.cancel_each(queue, ids, DEFAULT_RESULT_TTL)


async def _items(broker: FlowBroker, node: TreeNode) -> list[bytes]:
    """The list of a map, if it has come and the map has not ended."""
    task = await broker.held(node.queue, node.id, [LIST])
    value = b"" if task is None else task.slots.get(LIST, b"")
    if task is None or not value.startswith(b"="):
        return []
    return items_of(value[1:], task.serializer)
