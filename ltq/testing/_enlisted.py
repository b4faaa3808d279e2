"""What a box makes of the option `connection`: it has no transaction, so tasks are there now."""

from collections.abc import Callable, Sequence

from ltq.brokers._rules.store import Store
from ltq.message import Envelope, Published
from ltq.state import QueueStats, TaskState

Record = Callable[[Envelope, Published], None]


class AtOnce:
    """Takes tasks for a store in memory, in any thread: `Enlisted`."""

    is_async = False

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self._record = record

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`."""
        answers = self._store.publish(envelopes)
        for envelope, answer in zip(envelopes, answers, strict=True):
            self._record(envelope, answer)
        return answers

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """See `Publisher.first`."""
        return self._store.first(queue, fingerprint)

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        return self._store.states(queue, ids)

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        return self._store.stats(queues)
