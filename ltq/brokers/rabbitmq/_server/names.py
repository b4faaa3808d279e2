"""What the exchanges and queues are called. This is the only place that says so."""

from dataclasses import dataclass

from ltq.names import namespace_of


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
        return f"{self.prefix}.dead"

    @property
    def events(self) -> str:
        """The topic exchange that tells what becomes of tasks."""
        return f"{self.prefix}.events"

    def queue(self, namespace: str) -> str:
        """The queue of a worker, which is its routing key as well."""
        return f"{self.prefix}.{namespace}"

    def queue_of(self, queue: str) -> str:
        """Where tasks of one of LTQ's queues wait."""
        return self.queue(namespace_of(queue))
