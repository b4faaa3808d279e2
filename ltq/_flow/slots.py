"""Reading and filling the slots of tasks that wait, in calls of a limited size."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ltq._flow.protocols import FlowBroker
from ltq.broker.flows import Arrival, Arrived, WaitingTask

MOST_AT_ONCE = 500
"""Most tasks, or slots, of one call."""

_MOST_BYTES = 1_000_000
"""Bytes of values from which no further one is put in a call."""


async def arrive(broker: FlowBroker, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """Put values in slots. The answers are in their order."""
    answers: list[Arrived] = []
    for some in _chunks(arrivals):
        answers += await broker.arrive(queue, some)
    return answers


async def read_all(broker: FlowBroker, queue: str, task_id: str) -> WaitingTask | None:
    """A task that waits, or was cancelled, with all that has arrived."""
    task = await broker.held(queue, task_id, range(-1, MOST_AT_ONCE))
    if task is None or task.count is None:
        return task
    slots = dict(task.slots)
    for first in range(MOST_AT_ONCE, task.count.of, MOST_AT_ONCE):
        last = min(first + MOST_AT_ONCE, task.count.of)
        part = await broker.held(queue, task_id, range(first, last))
        if part is None:
            return None
        slots |= part.slots
    return replace(task, slots=slots)


def _chunks(arrivals: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    chunk: list[Arrival] = []
    size = 0
    for arrival in arrivals:
        if chunk and (len(chunk) == MOST_AT_ONCE or size + len(arrival.value) > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(arrival)
        size += len(arrival.value)
    if chunk:
        yield chunk
