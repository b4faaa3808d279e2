"""A task whose slots are full: it runs with what has arrived, or that is its result."""

from collections.abc import Iterable
from contextlib import aclosing

from ltq._flow.compose import call_body, list_of
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import FIRST_READ, read_slots
from ltq._flow.values import Call, Map, Recipe, read_recipe
from ltq.broker.flows import Ending, Ready, WaitingTask, ending_key
from ltq.message import Failure
from ltq.state import Status

MAX_ARRIVED = 64 << 20
"""Most bytes of all that arrives at a task: stores and workers have it in one piece."""


async def go_on(broker: FlowBroker, queue: str, task_id: str) -> Ending | None:
    """Let a task go on whose slots are full, if they are. Returns its ending, if that ends it."""
    task = await broker.held(queue, task_id, range(FIRST_READ))
    if task is None or task.status is Status.CANCELLED:
        return None
    if task.count is None or task.count.values != task.count.of:
        return None
    recipe = read_recipe(task.body, task.serializer)
    if recipe is None:
        return None
    slots = range(task.count.of - isinstance(recipe, Map))
    values = [task.slots[slot][1:] for slot in slots[:FIRST_READ] if slot in task.slots]
    await _add_others(values, broker, queue, task_id, slots[FIRST_READ:])
    if len(values) < len(slots) and _size(values) <= MAX_ARRIVED:
        return None  # they are not full any more
    ready = _ready(recipe, values, task)
    went_on = await broker.go_on(queue, task_id, ready)
    return _ending(queue, task_id, task, ready) if went_on and ready.body is None else None


async def _add_others(
    values: list[bytes], broker: FlowBroker, queue: str, task_id: str, slots: range
) -> None:
    """Add what is in further slots, up to a bit more than a task may get."""
    size = _size(values)
    async with aclosing(read_slots(broker, queue, task_id, slots)) as parts:
        async for some, task in parts:
            values += [task.slots[slot][1:] for slot in some if slot in task.slots]
            size += _size(task.slots.values())
            if size > MAX_ARRIVED:
                return


def _size(values: Iterable[bytes]) -> int:
    return sum(map(len, values))


def _ready(recipe: Recipe, values: list[bytes], task: WaitingTask) -> Ready:
    """What becomes of a task for which this has arrived."""
    if _size(values) > MAX_ARRIVED:
        mib = MAX_ARRIVED >> 20
        return Ready(failure=Failure("", f"more than {mib} MiB of results arrived for it"))
    if isinstance(recipe, Call):
        return Ready(body=call_body(values[0], recipe.args, recipe.kwargs, task.serializer))
    return Ready(result=list_of(values, task.serializer))


def _ending(queue: str, task_id: str, task: WaitingTask, ready: Ready) -> Ending:
    return Ending(
        key=ending_key(task_id, task.token),
        id=task_id,
        queue=queue,
        status=Status.COMPLETED if ready.failure is None else Status.REJECTED,
        ctx=task.ctx,
        result=ready.result or b"",
        serializer=task.serializer,
    )
