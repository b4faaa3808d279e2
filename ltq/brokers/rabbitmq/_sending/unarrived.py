"""What a broker has sent past a store that was away, and what has not arrived there so far."""

from collections.abc import Iterable
from threading import Lock

from ltq.message import Envelope

_MOST_KEPT = 10_000
"""Most tasks that are remembered. The oldest are forgotten first."""

Target = tuple[str, str]
"""A queue and a task's id."""


class Unarrived:
    """The tasks that RabbitMQ alone has got from here, as far as this process knows.

    All event loops of a broker share it.
    """

    def __init__(self) -> None:
        self._targets: dict[Target, None] = {}
        self._lock = Lock()

    def add(self, envelopes: Iterable[Envelope]) -> None:
        """RabbitMQ has confirmed these, and the store did not take them."""
        with self._lock:
            self._targets.update(dict.fromkeys(map(target_of, envelopes)))
            while len(self._targets) > _MOST_KEPT:
                del self._targets[next(iter(self._targets))]

    def discard(self, targets: Iterable[Target]) -> None:
        """These have arrived, or never will."""
        if self._targets:
            with self._lock:
                for target in targets:
                    self._targets.pop(target, None)

    def __contains__(self, target: Target) -> bool:
        # What is no text is for the store to refuse.
        return all(isinstance(part, str) for part in target) and target in self._targets


def target_of(envelope: Envelope) -> Target:
    """What an envelope is known by here."""
    return envelope.queue, envelope.id
