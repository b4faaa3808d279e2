"""A map whose list has come: a task for each of its items."""

from collections.abc import Collection, Sequence
from contextlib import aclosing

from ltq._flow.compose import call_body, items_of
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE, read_slots
from ltq._flow.values import (
    LIST,
    Destination,
    Flow,
    Map,
    ctx_with,
    element_id,
    flow_of,
    read_recipe,
)
from ltq.broker.flows import MAX_SLOTS, Arrival, Arrived, Ending, Ready, WaitingTask, ending_key
from ltq.errors import DecodeError
from ltq.message import ELEMENT, Envelope, Failure, Published
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status


async def expand(
    broker: FlowBroker,
    destination: Destination,
    result: bytes,
    serializer: str,
    *,
    revives: bool,
) -> Arrived | Ending:
    """Begin a map with the list that it waits for. Returns what it waits for then, or how it ended.

    It may be called again: an element is sent once. `revives`: see `Arrival.revives`.
    """
    queue, node_id = destination.queue, destination.id
    task = await broker.held(queue, node_id, ())
    recipe = None if task is None else read_recipe(task.body, task.serializer)
    if task is None or not isinstance(recipe, Map):
        return Arrived.ENDED
    try:
        items = _items(result, serializer, task)
    except DecodeError as error:
        wrong = f"map over {recipe.task_name}: {error}"
        await broker.go_on(queue, node_id, Ready(failure=Failure("", wrong)))
        return Ending(
            key=ending_key(node_id, task.token),
            id=node_id,
            queue=queue,
            status=Status.REJECTED,
            ctx=task.ctx,
        )
    arrival = Arrival(node_id, LIST, len(items) + 1, result, revives=revives)
    (answer,) = await broker.arrive(queue, [arrival])
    if answer is Arrived.WAITING:
        await send_elements(broker, queue, node_id, items)
    return answer


async def send_elements(
    broker: FlowBroker, queue: str, node_id: str, items: Sequence[bytes], *, again: bool = False
) -> None:
    """Send the elements of a map whose results are not there yet.

    If it was cancelled meanwhile, so are they; unless it is to go on `again`.
    """
    everything = read_slots(broker, queue, node_id, range(len(items)))
    async with aclosing(everything) as parts:
        async for indexes, task in parts:
            recipe, flow = read_recipe(task.body, task.serializer), flow_of(task.ctx)
            if not isinstance(recipe, Map) or flow is None:
                return
            if task.status is Status.CANCELLED and not again:
                await cancel_elements(broker, queue, node_id, indexes[0])
                return
            destination = Destination(queue, node_id, ELEMENT, len(items) + 1)
            missing = [one for one in indexes if not task.slots.get(one, b"").startswith(b"=")]
            ctx = _ctx_of_elements(recipe, flow, destination)
            envelopes = [
                _element(recipe, destination, ctx, one, items[one], task) for one in missing
            ]
            if not await _publish(broker, destination, envelopes):
                return
    last = await broker.held(queue, node_id, ())
    if last is not None and last.status is Status.CANCELLED and not again:
        await cancel_elements(broker, queue, node_id, len(items))


async def _publish(
    broker: FlowBroker, destination: Destination, envelopes: Sequence[Envelope]
) -> bool:
    """Send elements. If the id of one is taken, the map is REJECTED, and this returns False."""
    answers = await broker.publish(envelopes)
    if Published.ID_CONFLICT not in answers:
        return True
    taken = envelopes[answers.index(Published.ID_CONFLICT)].id
    text = f"another task has the id {taken} of an element"
    await broker.go_on(destination.queue, destination.id, Ready(failure=Failure("", text)))
    return False


async def cancel_elements(
    broker: FlowBroker, queue: str, node_id: str, count: int, spare: Collection[str] = ()
) -> None:
    """Cancel the first `count` elements of a map, but for those with the ids in `spare`."""
    for first in range(0, count, MOST_AT_ONCE):
        indexes = range(first, min(first + MOST_AT_ONCE, count))
        ids = [element_id(node_id, index) for index in indexes]
        meant = [task_id for task_id in ids if task_id not in spare]
        await broker.cancel_each(queue, meant, DEFAULT_RESULT_TTL)


def _ctx_of_elements(recipe: Map, flow: Flow, destination: Destination) -> bytes:
    own = Flow(queue=flow.queue, end=flow.end, to=(destination,), goes_on=flow.goes_on)
    return ctx_with(recipe.ctx.encode(), own)


def _element(
    recipe: Map, destination: Destination, ctx: bytes, index: int, item: bytes, task: WaitingTask
) -> Envelope:
    return recipe.element(
        element_id(destination.id, index),
        call_body(item, recipe.args, recipe.kwargs, task.serializer),
        ctx,
        task.serializer,
    )


def _items(result: bytes, serializer: str, task: WaitingTask) -> list[bytes]:
    """The elements of a map, encoded. Raises `DecodeError` if it cannot begin with this result."""
    if serializer != task.serializer:
        raise DecodeError(f"its list came as {serializer}, not {task.serializer}")
    try:
        items = items_of(result, serializer)
    except DecodeError as error:
        raise DecodeError(f"what it got {error}") from None
    if len(items) >= MAX_SLOTS:
        raise DecodeError(f"{len(items)} elements, at most {MAX_SLOTS - 1} are allowed")
    return items
