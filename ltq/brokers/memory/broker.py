"""Tasks in the memory of this process, for tests, demonstrations and work that may be lost."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence

from ltq._aio.clock import Clock, system_clock
from ltq._aio.loops import running_loop
from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    Consumer,
    ConsumerConfig,
    Finding,
    Severity,
    examine_queues,
    redact,
)
from ltq.broker.feed import Feed
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers.memory._consumer import MemoryConsumer
from ltq.brokers.memory._store import MemoryStore
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.names import check_name
from ltq.state import Progress, QueueStats, TaskState, WorkerInfo

_stores: dict[str, MemoryStore] = {}
_stores_lock = threading.Lock()


class MemoryBroker(Broker):
    """A broker within this process: `memory://name`, with one store for each name.

    Brokers with the same URL share their tasks, from any event loop and thread. The tasks stay
    until the process ends, even when all brokers are closed. The first broker of a name sets the
    clock of the store; later ones may not set another.
    """

    def __init__(self, url: str, *, clock: Clock = system_clock) -> None:
        self._name = _name_in(url)
        self._store = _open(self._name, clock)

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    @property
    def is_local(self) -> bool:
        return True

    def clone(self) -> "MemoryBroker":
        return MemoryBroker(self.url)

    def forget(self) -> None:
        """Start afresh: the next broker of this name gets an empty store.

        Existing brokers keep the old one.
        """
        with _stores_lock:
            if _stores.get(self._name) is self._store:
                del _stores[self._name]

    async def ping(self) -> None:
        """Do nothing: a store in memory always answers."""

    async def aclose(self) -> None:
        """Do nothing: there are no connections, and the tasks stay."""

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        return MemoryConsumer(self._store, config)

    # Each call lets other coroutines run first, as a call over a network does, so that a loop of
    # calls does not block them. A call that is cancelled meanwhile has done nothing.

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        await _turn()
        return self._store.publish(envelopes)

    async def first(self, queue: str, fingerprint: str) -> str | None:
        await _turn()
        return self._store.first(queue, fingerprint)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        await _turn()
        return self._store.finish(outcomes)

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        await _turn()
        return self._store.heartbeat(leases, duration)

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        await _turn()
        return self._store.progress(lease, progress)

    async def sweep(self, queues: Iterable[str]) -> Swept:
        await _turn()
        return self._store.sweep(queues)

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Do nothing: in memory, tasks do not lose their place."""
        return 0

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        await _turn()
        return self._store.states(queue, ids)

    def feed(self, queue: str, task_id: str) -> Feed:
        return self._store.follow(queue, task_id)

    async def queues(self) -> list[str]:
        await _turn()
        return self._store.queues()

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        await _turn()
        return self._store.stats(queues)

    async def clear(self, queue: str) -> int:
        await _turn()
        return self._store.clear(queue)

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        await _turn()
        return self._store.cancel(queue, task_id, result_ttl)

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        await _turn()
        return self._store.find(task_id)

    async def body(self, queue: str, task_id: str) -> bytes | None:
        await _turn()
        return self._store.body(queue, task_id)

    async def workers(self) -> list[WorkerInfo]:
        await _turn()
        return self._store.workers()

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`. There is nothing to scan: entries in memory are in order."""
        store = Finding(
            "store",
            Severity.DANGER,
            f"{self.url} is in the memory of one process: its tasks end with it",
            "use redis:// for tasks that must not be lost",
        )
        return [store, *examine_queues(await self.stats(await self.queues()))]

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        await _turn()
        return self._store.dead_letters(queue, limit, offset)

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        await _turn()
        letter = self._store.dead_letter(queue, task_id)
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        await _turn()
        return self._store.replay(queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        await _turn()
        return self._store.purge(queue, ids, older_than)

    async def time(self) -> float:
        await _turn()
        return self._store.clock()

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        await _turn()
        return self._store.fire(slot)


async def _turn() -> None:
    """Let other coroutines run."""
    running_loop()
    await asyncio.sleep(0)


def _name_in(url: str) -> str:
    scheme, separator, name = url.partition("://")
    if scheme.lower() != "memory" or not separator:
        raise ConfigurationError(f"broker URL {redact(url)!r} is not allowed: memory://name")
    return check_name("memory store", name) if name else ""


def _open(name: str, clock: Clock) -> MemoryStore:
    with _stores_lock:
        store = _stores.setdefault(name, MemoryStore(clock))
    if clock not in (system_clock, store.clock):
        raise ConfigurationError(
            f"memory://{name} has another clock already: "
            "the first broker of that name in a process may set it"
        )
    return store
