"""The items of a task that is watched: those that were not shown yet."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from ltq._codec.codec import split_item
from ltq._display.encoded import Encoded
from ltq.broker import Broker
from ltq.state import TaskState


class Item(NamedTuple):
    """An item of a stream."""

    attempt: int
    """The number of the delivery that yielded it."""
    number: int
    """How many items of that delivery came before it."""
    value: Encoded


class NewItems:
    """The items of one task, each once."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._attempt = self._seen = 0

    async def of(self, state: TaskState[bytes]) -> AsyncIterator[Item]:
        """Those that came until this state."""
        while (self._attempt, self._seen) < (state.dequeue_count, state.items):
            found = await self._broker.items(
                state.queue, state.id, attempt=self._attempt, after=self._seen
            )
            if found is None or not found.items:
                return
            for number, item in enumerate(found.items, found.first):
                serializer, data = split_item(item)
                yield Item(found.attempt, number, Encoded(data, serializer))
            self._attempt, self._seen = found.attempt, found.first + len(found.items)
