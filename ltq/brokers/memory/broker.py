"""Tasks in the memory of this process: for tests, demonstrations and work that may be lost."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Self

from ltq._aio.clock import Clock, system_clock
from ltq._names import check_name, consumer_name
from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    Claim,
    ClaimBudget,
    Finding,
    Severity,
    examine_queues,
    redact,
)
from ltq.broker.feed import Feed
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.brokers._rules.claim import ConsumerConfig
from ltq.brokers.memory._store import MemoryStore, Waiter
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import Limit
from ltq.state import Progress, QueueStats, TaskState, WorkerInfo

_stores: dict[str, MemoryStore] = {}
_stores_lock = threading.Lock()


class MemoryBroker(Broker):
    """A broker within this process: `memory://name`, one store for each name.

    Brokers of the same URL share their tasks, from whatever event loop or thread; the tasks stay
    when all brokers are closed, until the process ends. The first broker of a name gives the store
    its clock; a later one takes that or names the same.
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
        """Let go of the tasks: a later broker of this name begins with an empty store.

        Brokers that are there already keep theirs.
        """
        with _stores_lock:
            if _stores.get(self._name) is self._store:
                del _stores[self._name]

    async def ping(self) -> None:
        """Nothing to reach: it always answers."""

    async def aclose(self) -> None:
        """Nothing to close; the tasks stay."""

    def consumer(
        self,
        queues: Iterable[str],
        *,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        revoked: Callable[[str], None] | None = None,
        before_sweep: Callable[[], Awaitable[None]] | None = None,
    ) -> "MemoryConsumer":
        name = name or consumer_name()
        config = ConsumerConfig(name, queues, lease=lease, limits=limits or {})
        return MemoryConsumer(self._store, config, revoked)

    # Each call lets other coroutines run first, as one over a network would: a loop of calls
    # starves nobody. A call cancelled there has done nothing.

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        await asyncio.sleep(0)
        return self._store.publish(envelopes)

    async def first(self, queue: str, fingerprint: str) -> str | None:
        await asyncio.sleep(0)
        return self._store.first(queue, fingerprint)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        await asyncio.sleep(0)
        return self._store.finish(outcomes)

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        await asyncio.sleep(0)
        return self._store.heartbeat(leases, duration)

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        await asyncio.sleep(0)
        return self._store.progress(lease, progress)

    async def sweep(self, queues: Iterable[str]) -> Swept:
        await asyncio.sleep(0)
        return self._store.sweep(queues)

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """Nothing is ever lost here."""
        return 0

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        await asyncio.sleep(0)
        return self._store.states(queue, ids)

    def feed(self, queue: str, task_id: str) -> Feed:
        return self._store.follow(queue, task_id)

    async def queues(self) -> list[str]:
        await asyncio.sleep(0)
        return self._store.queues()

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        await asyncio.sleep(0)
        return self._store.stats(queues)

    async def clear(self, queue: str) -> int:
        await asyncio.sleep(0)
        return self._store.clear(queue)

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        await asyncio.sleep(0)
        return self._store.cancel(queue, task_id, result_ttl)

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        await asyncio.sleep(0)
        return self._store.find(task_id)

    async def workers(self) -> list[WorkerInfo]:
        await asyncio.sleep(0)
        return self._store.workers()

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """Nothing to scan: what is here is as it should be, for as long as the process lives."""
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
        await asyncio.sleep(0)
        return self._store.dead_letters(queue, limit, offset)

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        await asyncio.sleep(0)
        letter = self._store.dead_letter(queue, task_id)
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        await asyncio.sleep(0)
        return self._store.replay(queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        await asyncio.sleep(0)
        return self._store.purge(queue, ids, older_than)

    async def time(self) -> float:
        await asyncio.sleep(0)
        return self._store.clock()

    async def fire(self, tick: ScheduleSlot) -> SlotReceipt:
        await asyncio.sleep(0)
        return self._store.fire(tick)


class MemoryConsumer:
    """Claims tasks from a memory broker's store. Between its calls the store does not know it."""

    def __init__(
        self, store: MemoryStore, config: ConsumerConfig, revoked: Callable[[str], None] | None
    ) -> None:
        self.name: str = config.name
        self._store = store
        self._config = config
        self._lanes = frozenset(lane for lanes in config.lanes.values() for lane in lanes)
        self._revoked = revoked
        self._waits: set[asyncio.Future[bool]] = set()
        self._closed = False

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        await asyncio.sleep(0)
        budget = ClaimBudget(limit, running, ignore_isolation)
        revoke = None
        if self._revoked is not None:
            revoke = partial(_call, asyncio.get_running_loop(), self._revoked)
        return self._store.claim_for(self._config, budget, revoke)

    async def wait(self, timeout: float | None) -> bool:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = loop.create_future()
        waiter = Waiter(self._lanes, partial(_call, loop, partial(_end, over), True))
        timers = [] if timeout is None else [loop.call_later(timeout, _end, over, False)]
        self._waits.add(over)
        try:
            due_in = self._store.wait(waiter, self._config)
            if due_in is not None:
                timers.append(loop.call_later(due_in, _end, over, True))
            return not self._closed and await over
        finally:
            self._store.forget(waiter)
            self._waits.discard(over)
            for timer in timers:
                timer.cancel()

    async def freed(self, lane: str) -> None:
        """The store notices by itself when a task ends."""

    async def aclose(self) -> None:
        self._closed = True
        for over in tuple(self._waits):
            _end(over, False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


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


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    """Call a function in a loop, from any thread; not at all if the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


def _end(over: "asyncio.Future[bool]", result: bool) -> None:
    if not over.done():
        over.set_result(result)
