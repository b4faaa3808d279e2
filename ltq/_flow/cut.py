"""Workflows whose start was cut: a node that others wait for was never sent, or was lost."""

from collections.abc import Iterable

from ltq._flow.apart import carry_of
from ltq._flow.known import known_states
from ltq._flow.outline import Outline, outline_in
from ltq._flow.stop_resume import stop
from ltq._flow.values import LIST, read_recipe
from ltq.broker import Broker
from ltq.broker.flows import waits_for_others
from ltq.names import namespace_of
from ltq.state import Status

CUT_AFTER = 600.0
"""Seconds after which a start counts as cut: until then it may be under way, or be repeated."""

_PAGE = 1000


async def cancel_cut(broker: Broker, queues: Iterable[str], *, before: float) -> int:
    """Cancel the workflows that wait for a node which does not exist; returns how many.

    It looks at those whose last node is in one of the queues, and was sent before a time by the
    broker's clock, in Unix seconds. Raises `BrokerError`.
    """
    count = 0
    for queue in queues:
        cursor: str | None = None
        while True:
            page = await broker.tasks(queue, status=Status.DELAYED, limit=_PAGE, cursor=cursor)
            for task in page.items:
                if waits_for_others(task) and (task.enqueue_time or 0.0) < before:
                    count += await _cancel_if_cut(broker, queue, task.id)
            cursor = page.cursor
            if cursor is None:
                break
    return count


async def _cancel_if_cut(broker: Broker, queue: str, last_id: str) -> bool:
    outline = outline_in(await broker.ctx(queue, last_id) or b"")
    if outline is None or outline.id != last_id or not await _is_cut(broker, outline):
        return False
    last = await broker.held(queue, last_id, ())
    recipe = None if last is None else read_recipe(last.body, last.serializer)
    if recipe is None:
        return False
    await stop(broker, recipe.tree)
    return True


async def _is_cut(broker: Broker, outline: Outline) -> bool:
    """Whether a node waits for one that does not exist, and has left no ending, either."""
    if not await _waits_in_vain(broker, outline):
        return False
    for queue in {namespace_of(node.queue): node.queue for node in outline.nodes}.values():
        _, lefts = await carry_of(broker, queue, outline.id)
        if lefts:  # one of these may be what it waits for
            return False
    return await _waits_in_vain(broker, outline)


async def _waits_in_vain(broker: Broker, outline: Outline) -> bool:
    known = await known_states(broker, ((node.queue, node.id) for node in outline.nodes))
    for node in outline.nodes:
        for slot, parent in enumerate(node.parents):
            if node.id in known and parent not in known:
                slot = LIST if node.is_map else slot
                task = await broker.held(node.queue, node.id, [slot])
                if task is not None and task.status is Status.DELAYED and slot not in task.slots:
                    return True
    return False
