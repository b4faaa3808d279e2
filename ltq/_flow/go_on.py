"""A task whose slots are full: it runs with what has arrived, or that is its result."""

from ltq._flow.compose import call_body, list_of
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import read_all
from ltq._flow.values import Call, Map, read_recipe
from ltq.broker.flows import Ending, Ready, WaitingTask, ending_key
from ltq.state import Status


async def go_on(broker: FlowBroker, queue: str, task_id: str) -> Ending | None:
    """Let a task go on whose slots are full, if they are. Returns its ending, if that ends it."""
    task = await read_all(broker, queue, task_id)
    if task is None or task.status is Status.CANCELLED:
        return None
    if task.count is None or task.count.values != task.count.of:
        return None
    recipe = read_recipe(task.body, task.serializer)
    slots = range(task.count.of - isinstance(recipe, Map))
    values = [task.slots[slot][1:] for slot in slots if slot in task.slots]
    if recipe is None or len(values) < len(slots):
        return None
    if isinstance(recipe, Call):
        body = call_body(values[0], recipe.args, recipe.kwargs, task.serializer)
        await broker.go_on(queue, task_id, Ready(body=body))
        return None
    result = list_of(values, task.serializer)
    if not await broker.go_on(queue, task_id, Ready(result=result)):
        return None
    return _ending(queue, task_id, task, result)


def _ending(queue: str, task_id: str, task: WaitingTask, result: bytes) -> Ending:
    return Ending(
        key=ending_key(task_id, task.token),
        id=task_id,
        queue=queue,
        status=Status.COMPLETED,
        ctx=task.ctx,
        result=result,
        serializer=task.serializer,
    )
