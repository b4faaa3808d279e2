"""Reading and filling the slots of tasks that wait, in calls of a limited size."""

from collections.abc import AsyncGenerator, Iterator, Sequence

from ltq._flow.protocols import FlowBroker
from ltq.broker.flows import Arrival, Arrived, WaitingTask

MOST_AT_ONCE = 500
"""Most tasks, or slots, of one call."""

FIRST_READ = 20
"""How many slots the first call reads: nobody knows how large their values are."""

_GROWTH = 4
"""How many times more than before a call may read."""

_MOST_BYTES = 1_000_000
"""Bytes of values from which no further one is put in a call, or is likely to be read by it."""


async def arrive(broker: FlowBroker, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
    """Put values in slots. The answers are in their order."""
    answers: list[Arrived] = []
    for some in _chunks(arrivals):
        answers += await broker.arrive(queue, some)
    return answers


async def read_slots(
    broker: FlowBroker, queue: str, task_id: str, slots: range
) -> AsyncGenerator[tuple[range, WaitingTask], None]:
    """A task that waits, or was cancelled, again and again, each time with some more of its slots.

    It ends early if the task is none of both any more.
    """
    count = FIRST_READ
    while slots:
        some, slots = slots[:count], slots[count:]
        task = await broker.held(queue, task_id, some)
        if task is None:
            return
        yield some, task
        largest = max(map(len, task.slots.values()), default=0)
        count = max(1, min(_GROWTH * count, MOST_AT_ONCE, _MOST_BYTES // (largest + 1)))


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
