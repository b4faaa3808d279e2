"""The states of the tasks of a workflow, in as few calls as possible."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Protocol

from ltq._flow.slots import MOST_AT_ONCE
from ltq.names import by_namespace
from ltq.state import TaskState


class _Known(Protocol):
    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states of tasks."""
        ...


async def known_states(
    broker: _Known, tasks: Iterable[tuple[str, str]]
) -> dict[str, TaskState[bytes]]:
    """The states of tasks, by id; the tasks are given by their queues and ids.

    Those that do not exist (any more) are left out. Raises `BrokerError`.
    """
    found: dict[str, TaskState[bytes]] = {}
    for group in by_namespace(tasks, itemgetter(0)).values():
        queue, ids = group[0][0], [task_id for _, task_id in group]
        for first in range(0, len(ids), MOST_AT_ONCE):
            states = await broker.states(queue, ids[first : first + MOST_AT_ONCE])
            found.update((state.id, state) for state in states if state is not None)
    return found
