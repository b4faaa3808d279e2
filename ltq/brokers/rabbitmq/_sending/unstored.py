"""What a broker has sent past a store that was away, and what is not in the store yet."""

from collections.abc import Iterable
from threading import Lock

from ltq.message import Envelope

_MOST_KEPT = 10_000
"""Most tasks that are remembered. The oldest are forgotten first."""

TaskRef = tuple[str, str]
"""A queue and a task's id."""


class Unstored:
    """The tasks that RabbitMQ alone has got from here, as far as this process knows.

    All event loops of a broker share it.
    """

    def __init__(self) -> None:
        self._tasks: dict[TaskRef, None] = {}
        self._lock = Lock()

    def add(self, envelopes: Iterable[Envelope]) -> None:
        """RabbitMQ has confirmed these, and the store did not take them."""
        with self._lock:
            self._tasks.update(dict.fromkeys(map(ref_of, envelopes)))
            while len(self._tasks) > _MOST_KEPT:
                del self._tasks[next(iter(self._tasks))]

    def discard(self, tasks: Iterable[TaskRef]) -> None:
        """These are in the store, or never will be."""
        if self._tasks:
            with self._lock:
                for task in tasks:
                    self._tasks.pop(task, None)

    def __contains__(self, task: TaskRef) -> bool:
        # What is no text is for the store to refuse.
        return all(isinstance(part, str) for part in task) and task in self._tasks


def ref_of(envelope: Envelope) -> TaskRef:
    """What an envelope is known by here."""
    return envelope.queue, envelope.id
