"""What the exchanges and queues are called. This is the only place that says so."""

from collections.abc import Iterable
from dataclasses import dataclass

from ltq.errors import ConfigurationError
from ltq.names import namespace_of

LONGEST_PREFIX = 54
"""Characters: with a point and the longest name of a worker that is 255, the most in AMQP."""

_DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Names:
    """The names with one prefix."""

    prefix: str

    @property
    def tasks(self) -> str:
        """The direct exchange to which tasks are published."""
        return self.prefix

    @property
    def dead(self) -> str:
        """The fanout exchange, and its queue, of what cannot become a task."""
        return f"{self.prefix}.{_DEAD}"

    @property
    def events(self) -> str:
        """The topic exchange that tells what becomes of tasks."""
        return f"{self.prefix}.events"

    def check(self, queues: Iterable[str]) -> None:
        """Raise `ConfigurationError` for a queue of LTQ's that can have none in RabbitMQ."""
        for queue in queues:
            if namespace_of(queue) == _DEAD:
                raise ConfigurationError(
                    f"{queue!r} is not allowed with RabbitMQ, where {self.dead!r} is the queue of "
                    "dead messages: give the worker another name"
                )

    def queue(self, namespace: str) -> str:
        """The queue of a worker, which is its routing key as well."""
        return f"{self.prefix}.{namespace}"

    def queue_of(self, queue: str) -> str:
        """Where tasks of one of LTQ's queues wait."""
        return self.queue(namespace_of(queue))
