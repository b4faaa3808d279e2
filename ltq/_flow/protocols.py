"""What carrying workflows on needs of a broker."""

from collections.abc import Sequence
from typing import Protocol

from ltq.broker import Publisher
from ltq.broker.flows import Flows
from ltq.state import TaskState


class FlowBroker(Flows, Publisher, Protocol):
    """What carrying workflows on needs of a broker."""

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states of tasks."""
        ...
